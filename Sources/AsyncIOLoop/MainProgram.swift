import AsyncIOKernel
import Glibc

/// A program whose asynchronous `main` runs on a loop because it links `AsyncIOMain`.
package enum MainProgram {
    /// Called when the program is loaded, before anything of Swift's concurrency has been used.
    package static func takeOverAtLoad() { Takeover.install() }

    /// What the runtime calls after it has queued `main`: never returns, since the program ends by exit(3).
    static func run() throws {
        let loop = try EventLoop(options: EventLoop.Options())
        loop.enter()
        let signals = InterruptWatch(loop.options.interrupts, on: loop.core)
        while true {
            loop.core.tick()
            guard let signal = signals.received else { continue }
            // There is no task to cancel that we would know of: end what the loop owns, then end as the signal would
            // have.
            loop.end()
            signals.close(on: loop.core)
            kill(getpid(), signal)
        }
    }
}
