import AsyncIOLoop

/// A task beside the caller's that does not hear of the caller's cancellation.
///
/// It inherits the caller's task locals and priority, and runs on the caller's loop: by preference, so that it is no
/// plain task, which the loop's end would cancel. The caller awaits it.
enum UncancelledTask {
    static func start<Success: Sendable>(
        name: String, _ work: @escaping @Sendable () async throws -> Success
    ) -> Task<Success, any Error> {
        // Nor is it bound by the caller's deadlines, of which one may be the reason for all this.
        Deadline.$current.withValue(nil) {
            guard let loop = EventLoop.current else { return Task(name: name) { try await work() } }
            return Task(name: name, executorPreference: loop) { try await work() }
        }
    }
}

/// Values that came too late.
struct Discarding<Value: Sendable>: Sendable {
    let handler: (@Sendable (Value) async -> Void)?

    /// Hands a value to the handler. Not cancelled with the caller: what has to be closed is closed.
    func discard(_ value: Value) async {
        guard let handler else { return }
        _ = await UncancelledTask.start(name: "discarding a late value") { await handler(value) }.result
    }
}
