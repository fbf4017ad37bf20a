import CAsyncIO
import Glibc

extension SystemCall {
    /// Lets a listening TCP socket ignore new handshakes; those under way are finished. Their clients' systems try
    /// again after a second, and find whoever listens then.
    package static func ignoreHandshakes(_ descriptor: CInt) {
        if isSimulated { return }
        // Where filters are not allowed, those few clients hear that the connection is refused.
        _ = result { casyncio_ignore_handshakes(descriptor) }
    }

    /// A number that nobody can guess.
    package static var randomNumber: UInt64 { standIn?.randomNumber() ?? .random(in: .min ... .max) }

    /// How many processors this process may run on (sched_getaffinity(2)); at least one.
    package static var usableProcessors: Int {
        standIn?.processors ?? max(Int(casyncio_usable_processors()), 1)
    }
}
