import AsyncIOLoop

/// How tasks end, in the order in which they do, with their places in the collection. The tasks are left alone.
///
/// ```swift
/// for try await (index, result) in asCompleted(tasks) { … }
/// ```
///
/// The iteration throws `CancellationError` as soon as its task is cancelled; ending it early cancels nothing. Tasks
/// that have ended before come first, in any order.
///
/// asyncio's `as_completed`.
public func asCompleted<Handles: Collection>(
    _ handles: Handles
) -> CompletedTasks<Handles.Element> where Handles.Element: TaskHandle {
    CompletedTasks(handles: Array(handles))
}

/// How tasks end: see ``asCompleted(_:)``. Each iteration sees all of them.
public struct CompletedTasks<Handle: TaskHandle>: AsyncSequence, Sendable {
    /// A task's place, and how it ended.
    public typealias Element = (index: Int, result: Result<Handle.Success, any Error>)

    let handles: [Handle]

    /// Begins to watch the tasks.
    public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(handles) }

    /// One iteration. For one task.
    public struct AsyncIterator: AsyncIteratorProtocol {
        private let watch: ResultWatch<Handle.Success>
        private var left: Int

        init(_ handles: [Handle]) {
            left = handles.count
            watch = ResultWatch()
            for (index, handle) in handles.enumerated() { watch.add(handle, index) }
        }

        /// The next task that has ended; nil after the last. Throws `CancellationError`.
        public mutating func next() async throws -> Element? {
            guard left > 0 else { return nil }
            let end = try await watch.results.get()
            left -= 1
            return (end.index, end.result)
        }
    }
}

/// A task's place, and how it ended, on the way to whoever iterates.
struct IndexedResult<Success: Sendable>: Sendable {
    let index: Int
    let result: Result<Success, any Error>
}

/// Watches tasks until it is let go.
final class ResultWatch<Success: Sendable> {
    let results = AsyncQueue<IndexedResult<Success>>(capacity: .unbounded, name: "results of tasks")
    private var observations: [TaskObservation] = []

    deinit { for observation in observations { observation.cancel() } }

    func add(_ handle: some TaskHandle<Success>, _ index: Int) {
        let results = results
        observations.append(handle.whenEnded { _ = results.tryPut(IndexedResult(index: index, result: $0)) })
    }
}
