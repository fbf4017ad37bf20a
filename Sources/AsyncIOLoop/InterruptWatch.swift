import AsyncIOKernel
import CAsyncIO
import Glibc

/// Ctrl-C and its kin, during one run of a body.
///
/// The signal handler counts and writes to an eventfd that the loop waits for. A second signal of the same kind does
/// what it would have done without us, so that a program which does not react can always be ended.
struct InterruptWatch {
    private let signals: [CInt]
    private let wake: CInt
    private let token: Token?

    init(_ interrupts: EventLoop.Interrupts, on core: LoopCore) {
        let flags = CInt(EFD_CLOEXEC) | CInt(EFD_NONBLOCK)
        let result = interrupts.isEmpty ? -1 : SystemCall.result { eventfd(0, flags) }
        let wake = CInt(truncatingIfNeeded: result)
        self.wake = wake
        // The token is nobody's: its completion only wakes the loop.
        guard wake >= 0, case .pending(let token) = core.start(.waitReadable(wake)) else {
            signals = []
            token = nil
            return
        }
        self.token = token
        // Where two loops run at once, a signal is the first one's.
        signals = interrupts.signals.filter { casyncio_interrupt_install($0, wake) == 0 }
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
