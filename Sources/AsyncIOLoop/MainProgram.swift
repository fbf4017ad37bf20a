import AsyncIOKernel
import CAsyncIO
import Glibc
import Synchronization

/// A program whose asynchronous `main` runs on a loop because it links `AsyncIOMain`.
///
/// The runtime runs the first part of `main`, up to its first suspension, before it asks for the loop. So the loop is
/// made when that part first asks for it (``EventLoop/current``), or else when the runtime does.
package enum MainProgram {
    private enum Phase {
        case notOurs, expected
        case early(EventLoop)
        case running
    }

    private static let phase = Locked(Phase.notOurs)
    /// A hint that asking the phase is worth it.
    private static let mayBeEarly = Atomic(false)

    /// Called when the program is loaded, before anything of Swift's concurrency has been used.
    package static func takeOverAtLoad() {
        guard Takeover.install() else { return }
        MainLoop.expectMain()
        phase.withLock { $0 = .expected }
        mayBeEarly.store(true, ordering: .relaxed)
    }

    /// The loop, for the part of `main` that runs before it: made now.
    static func earlyLoop() -> EventLoop? {
        guard mayBeEarly.load(ordering: .relaxed), SystemThread.isMain else { return nil }
        let loop: EventLoop? = phase.withLock { phase in
            guard case .expected = phase, let loop = try? EventLoop(options: EventLoop.Options()) else { return nil }
            phase = .early(loop)
            mayBeEarly.store(false, ordering: .relaxed)
            return loop
        }
        loop?.enter()
        return loop
    }

    /// A synchronous `main` calls `EventLoop.run` after all: its loop replaces the early one.
    static func giveWay() {
        guard SystemThread.isMain else { return }
        let early: EventLoop? = phase.withLock { phase in
            defer { phase = .notOurs }
            guard case .early(let loop) = phase else { return nil }
            return loop
        }
        early?.leave()
        early?.retire()
        early?.discard()
    }

    /// What the runtime calls after the first part of `main`: never returns, since the program ends by exit(3).
    static func run() throws {
        let early: EventLoop? = phase.withLock { phase in
            defer { phase = .running }
            mayBeEarly.store(false, ordering: .relaxed)
            guard case .early(let loop) = phase else { return nil }
            return loop
        }
        let loop = try early ?? EventLoop(options: EventLoop.Options())
        if early == nil { loop.enter() }
        atexit {
            // `main` has returned, on this thread, inside a tick that will not go on: what is left ends in good order.
            guard SystemThread.isMain, let loop = EventLoop.current, !loop.isClosed else { return }
            loop.end()
        }
        let signals = try InterruptWatch(loop.options.interrupts, on: loop.core)
        while true {
            loop.core.tick()
            guard let signal = signals.received else { continue }
            // Swift offers no way to end `main` early that is not a crash: end all else, then as the signal would.
            loop.end(.mayGoOn)
            signals.close(on: loop.core)
            InterruptWatch.endProcess(signal)
        }
    }
}
