package import AsyncIOKernel
import CAsyncIO
import Glibc
import Synchronization
import SystemPackage

/// A place in the process's table of who listens to which signal, and the eventfd by which the handler calls.
///
/// Runs and the program's own listeners have one each; all of it comes together in signals.c.
package final class SignalListener: Sendable {
    /// Signals, a bit for each: the number less one.
    package typealias Set = UInt64

    package enum Kind {
        /// Every one of them gets the signal.
        case ofProgram
        /// The signal ends a run, if no listener of the program's gets it.
        case ofRun

        fileprivate var number: casyncio_listener {
            switch self {
            case .ofProgram: CASYNCIO_LISTENER_OF_PROGRAM
            case .ofRun: CASYNCIO_LISTENER_OF_RUN
            }
        }
    }

    /// Those that will come: one that the process ignores may not.
    package let heard: Set
    private let place: CInt
    private let wake: Descriptor
    private let hasEnded = Atomic(false)
    /// Signals are those of a simulated host, and no thread's.
    private let isSimulated: Bool

    /// Listens from now on, until ``end()``. Throws ``IOError`` if the system refuses a descriptor, or with `ENOSPC` if
    /// the process has too many listeners.
    package init(_ signals: Set, _ kind: Kind, evenIgnored: Bool = false) throws(IOError) {
        if let standIn = SystemCall.standIn {
            let number = CInt(try SystemCall.check(standIn.listen(to: signals), "listen to", "signals"))
            heard = signals
            place = number
            wake = Descriptor(owning: number)
            isSimulated = true
            return
        }
        isSimulated = false
        let owned = try SystemCall.eventDescriptor("signals")
        var heard: Set = 0
        let code = SystemCall.resultOnce {
            unsafe casyncio_signals_listen(signals, owned.number, kind.number, evenIgnored, &heard)
        }
        guard code >= 0 else {
            let isFull = code == Errno.noSpace.negated
            throw IOError(
                Errno(negated: code), operation: "listen to", subject: "signals",
                detail: isFull ? "\(CASYNCIO_SIGNAL_LISTENERS) listeners at once; share one, or end some" : nil)
        }
        place = CInt(truncatingIfNeeded: code)
        self.heard = heard
        wake = owned
    }

    deinit { end() }

    /// Readable when one of the signals has come since the last ``take()``, and after the end.
    package var descriptor: CInt { wake.number }

    /// The signals that have come since the last call, each once.
    package func take() -> Set {
        if isSimulated { return SystemCall.standIn?.takeSignals(place) ?? 0 }
        // First what the handler has written, then why: what comes in between calls again.
        var calls: UInt64 = 0
        _ = SystemCall.result { unsafe read(wake.number, &calls, MemoryLayout<UInt64>.size) }
        return casyncio_signals_take(place)
    }

    /// Hears no more. The last one to listen to a signal puts back what was there before.
    package func end() {
        guard !hasEnded.exchange(true, ordering: .sequentiallyConsistent) else { return }
        if isSimulated {
            SystemCall.standIn?.ignoreSignals(place)
            return
        }
        casyncio_signals_ignore(place)
        SystemCall.signal(wake.number)
    }

    package var isOver: Bool { hasEnded.load(ordering: .sequentiallyConsistent) }

    /// Lets the calling thread have the signals, if it was started without.
    package func unblockHere() { if !isSimulated { casyncio_signals_unblock(heard) } }

    /// Takes them away again from the calling thread, once nobody listens to them.
    package static func reblockHere(_ signals: Set) {
        if !SystemCall.isSimulated { casyncio_signals_reblock(signals) }
    }
}
