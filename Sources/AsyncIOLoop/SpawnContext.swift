import AsyncIOKernel
import Synchronization

/// What a background task takes along of the task that spawns it, although it outlives that: the context of a trace.
///
/// Background tasks inherit no task locals: a deadline, say, must not reach beyond its scope. What is to be carried all
/// the same is captured when the task is spawned, and put around its body.
package struct SpawnContext: Sendable {
    private let run: @Sendable (@Sendable () async -> Void) async -> Void

    package init(_ run: @escaping @Sendable (@Sendable () async -> Void) async -> Void) { self.run = run }

    func around(_ body: @Sendable () async -> Void) async { await run(body) }

    /// Has this asked, for the rest of the process's life, at each `spawn` and `submit`, in the spawning task; nil
    /// carries nothing.
    package static func capture(by closure: @escaping @Sendable () -> SpawnContext?) {
        captures.withLock { $0 = closure }
        isAsked.store(true, ordering: .releasing)
    }

    static var current: SpawnContext? {
        guard isAsked.load(ordering: .acquiring) else { return nil }
        return captures.withLock { $0 }?()
    }

    private static let captures = Locked<(@Sendable () -> SpawnContext?)?>(nil)
    private static let isAsked = Atomic(false)
}
