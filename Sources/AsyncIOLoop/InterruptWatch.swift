import AsyncIOKernel
import CAsyncIO
import Glibc
import SystemPackage

/// Ctrl-C and its kin, during one run of a body.
///
/// The signal handler counts and writes to an eventfd that the loop waits for. A second signal of the same kind does
/// what it would have done without us, so that a program which does not react can always be ended.
struct InterruptWatch {
    private let signals: [CInt]
    private let wake: CInt
    private let token: Token?

    /// Throws ``IOError`` if the system refuses: a program must not lose its Ctrl-C without hearing of it.
    init(_ interrupts: EventLoop.Interrupts, on core: LoopCore) throws(IOError) {
        guard !interrupts.isEmpty else {
            (signals, wake, token) = ([], -1, nil)
            return
        }
        let flags = CInt(EFD_CLOEXEC) | CInt(EFD_NONBLOCK)
        let number = try SystemCall.call("eventfd", "signals") { eventfd(0, flags) }
        let owned = Descriptor(owning: CInt(truncatingIfNeeded: number))
        // The token is nobody's: its completion only wakes the loop.
        switch core.start(.waitReadable(owned.number)) {
        case .pending(let started): token = started
        case .completed(let outcome):
            throw IOError(Errno(negated: min(outcome.result, -1)), operation: "wait readable", subject: "signals")
        }
        let wake = owned.release()
        self.wake = wake
        // Where two loops run at once, a signal is the first one's; and one that the process ignores stays ignored.
        signals = interrupts.signals.filter { casyncio_interrupt_install($0, wake) }
    }

    /// The first signal that came.
    var received: CInt? { signals.first { casyncio_interrupt_count($0) > 0 } }

    func close(on core: LoopCore) {
        for signal in signals { casyncio_interrupt_restore(signal) }
        if let token { core.cancel(token) }
        if wake >= 0 { _ = SystemCall.close(wake) }
    }

    /// Ends the process as the signal would have done without us: its parent sees that (a shell says 130 for Ctrl-C).
    static func endProcess(_ number: CInt) -> Never {
        signal(number, SIG_DFL)
        raise(number)
        _exit(128 &+ number)
    }
}
