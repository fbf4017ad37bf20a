import AsyncIOLoop

/// How tasks end, in the order in which they do, with their places in the collection. The tasks are left alone.
///
/// ```swift
/// for try await (index, result) in asCompleted(tasks) { … }
/// ```
///
/// The iteration throws `CancellationError` as soon as its task is cancelled; ending it early cancels nothing. Tasks
/// that have ended before come first, in any order. The error of a spawned task that has ended and was not taken when
/// the iteration is let go is reported as if nobody had awaited the task.
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
            let end = try await watch.next()
            left -= 1
            return end
        }
    }
}

/// Watches tasks until it is let go, and keeps how they ended until somebody asks.
final class ResultWatch<Success: Sendable> {
    private struct End: Sendable {
        let index: Int
        let result: Result<Success, any Error>
        /// Wants to know what becomes of the error.
        let task: (any ReportingHandle)?
    }

    private let ends = AsyncQueue<End>(capacity: .unbounded, name: "results of tasks")
    private var observations: [TaskObservation] = []

    deinit {
        for observation in observations { observation.cancel() }
        // One that comes just now finds the door closed.
        ends.finish()
        while let end = ends.tryGet() { end.task?.wasReceived(.dropped) }
    }

    func add(_ handle: some TaskHandle<Success>, _ index: Int) {
        let ends = ends
        observations.append(
            handle.whenEnded { result in
                let end = End(index: index, result: result, task: handle as? any ReportingHandle)
                if !ends.tryPut(end) { end.task?.wasReceived(.dropped) }
            })
    }

    func next() async throws -> (index: Int, result: Result<Success, any Error>) {
        let end = try await ends.get()
        end.task?.wasReceived(.taken)
        return (end.index, end.result)
    }
}
