import AsyncIOKernel
import CAsyncIO
import Glibc
import SystemPackage

/// Ctrl-C and its kin, during one run of a body.
///
/// The signal handler counts and writes to an eventfd that the loop waits for. A second signal of the same kind does
/// what it would have done without us, so that a program which does not react can always be ended; one that comes with
/// the first counts as the same. Where the program listens to a signal itself, the run hears nothing of it.
struct InterruptWatch {
    private let signals: [CInt]
    private let listener: SignalListener?
    private let token: Token?

    /// Throws ``IOError`` if the system refuses: a program must not lose its Ctrl-C without hearing of it.
    init(_ interrupts: EventLoop.Interrupts, on core: LoopCore) throws(IOError) {
        let wanted = interrupts.signals.reduce(0) { $0 | Self.bit($1) }
        guard wanted != 0 else {
            (signals, listener, token) = ([], nil, nil)
            return
        }
        // Where two loops run at once, a signal is the first one's; and one that the process ignores stays ignored.
        let listener = try SignalListener(wanted, .ofRun)
        // The token is nobody's: its completion only wakes the loop.
        switch core.start(.waitReadable(listener.descriptor)) {
        case .pending(let started): token = started
        // It has come already.
        case .completed(let outcome) where outcome.result >= 0: token = nil
        case .completed(let outcome):
            throw IOError(Errno(negated: outcome.result), operation: "wait readable", subject: "signals")
        }
        self.listener = listener
        signals = interrupts.signals.filter { listener.heard & Self.bit($0) != 0 }
        listener.unblockHere()
    }

    private static func bit(_ signal: CInt) -> SignalListener.Set { 1 << SignalListener.Set(signal &- 1) }

    /// The first signal that came.
    var received: CInt? { signals.first { casyncio_signals_run_count($0) > 0 } }

    func close(on core: LoopCore) {
        listener?.end()
        if let token { core.cancel(token) }
    }

    /// Ends the process as the signal would have done without us: its parent sees that (a shell says 130 for Ctrl-C).
    static func endProcess(_ number: CInt) -> Never {
        EventLoop.observer?.processEnds()
        signal(number, SIG_DFL)
        // The process may have been started with it blocked.
        casyncio_signals_unblock(bit(number))
        raise(number)
        _exit(128 &+ number)
    }
}
