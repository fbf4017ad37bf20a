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

    /// Gives back the memory of all pages that lie in a region as a whole, and with it what is in them: they read as
    /// zeros, and take memory again when they are written to (madvise(2), MADV_DONTNEED).
    ///
    /// The region has to be private memory, such as malloc's, whose contents nobody needs. Where the pages are locked
    /// nothing happens.
    package static func forgetPages(of region: UnsafeRawBufferPointer) {
        guard standIn == nil, let start = region.baseAddress else { return }
        let begin = UInt(bitPattern: start)
        let first = (begin + pageSize - 1) / pageSize * pageSize
        let end = (begin + UInt(region.count)) / pageSize * pageSize
        guard first < end else { return }
        // The pages are within the region, which the caller vouches for.
        _ = result { unsafe madvise(UnsafeMutableRawPointer(bitPattern: first), Int(end - first), MADV_DONTNEED) }
    }

    private static let pageSize = UInt(max(sysconf(CInt(_SC_PAGESIZE)), 4096))
}
