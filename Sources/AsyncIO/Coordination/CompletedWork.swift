import AsyncIOKernel
import AsyncIOLoop

/// Runs a piece of work for each input, at most `limit` at the same time, and tells the results in the order in which
/// they come, each with its input's place.
///
/// ```swift
/// for try await (index, result) in asCompleted(addresses, limit: 10, { try await fetch($0) }) { … }
/// ```
///
/// The work runs as background tasks of the current loop, with the caller's task locals and priority. Inputs are taken
/// one by one, when there is room; a result that nobody has taken yet fills its place, so that a slow consumer slows
/// the work down. An error is a result and cancels nobody. Ending the iteration early, and cancelling the task that
/// iterates, cancels what runs; it is not awaited, but the loop knows it, and errors that nobody has taken then go to
/// its error handler. The limit is at least one; `.max` is no limit. The iteration throws `CancellationError`, and
/// `EventLoopError.noLoop` where no loop runs.
public func asCompleted<Inputs: Sequence, Output: Sendable>(
    _ inputs: Inputs, limit: Int, name: String = "as completed", file: StaticString = #fileID, line: UInt = #line,
    _ work: @escaping @Sendable (Inputs.Element) async throws -> Output
) -> CompletedWork<Inputs, Output> where Inputs.Element: Sendable {
    callerMust(limit >= 1, "asCompleted needs a limit of at least one, not \(limit)")
    return CompletedWork(inputs: inputs, limit: limit, name: name, file: file, line: line, work: work)
}

/// The results of work, as they come: see ``asCompleted(_:limit:name:_:)``. Each iteration does the work anew.
public struct CompletedWork<Inputs: Sequence, Output: Sendable>: AsyncSequence where Inputs.Element: Sendable {
    /// An input's place, and how the work on it ended.
    public typealias Element = (index: Int, result: Result<Output, any Error>)

    let inputs: Inputs
    let limit: Int
    let name: String
    let file: StaticString
    let line: UInt
    let work: @Sendable (Inputs.Element) async throws -> Output

    /// Begins an iteration; the work begins when it is asked for the first result.
    public func makeAsyncIterator() -> AsyncIterator {
        AsyncIterator(plan: self, rest: inputs.makeIterator())
    }

    /// One iteration. For one task.
    public struct AsyncIterator: AsyncIteratorProtocol {
        fileprivate let plan: CompletedWork
        fileprivate var rest: Inputs.Iterator
        private let running = RunningWork<Output>()
        private var started = 0

        fileprivate init(plan: CompletedWork, rest: Inputs.Iterator) {
            self.plan = plan
            self.rest = rest
        }

        /// The next result; nil after the last. Throws `CancellationError`.
        public mutating func next() async throws -> Element? {
            try await Visit.enter()
            let loop = try EventLoop.required()
            fill(loop)
            guard running.count > 0 else { return nil }
            let end = try await running.next()
            fill(loop)
            return end
        }

        private mutating func fill(_ loop: EventLoop) {
            while running.count < plan.limit, let input = rest.next() {
                let work = plan.work
                let name = "\(plan.name) \(started)"
                let task = loop.spawnForCaller(name: name, place: "\(plan.file):\(plan.line)") { try await work(input) }
                running.add(task, started)
                started += 1
            }
        }
    }
}

/// The work of one iteration that goes on, or whose results nobody has taken yet. Letting go of it cancels the work.
private final class RunningWork<Output: Sendable> {
    private let results = ResultWatch<Output>()
    private var tasks: [Int: BackgroundTask<Output>] = [:]

    var count: Int { tasks.count }

    deinit { for (_, task) in tasks.sorted(by: { $0.key < $1.key }) { task.cancel() } }

    func add(_ task: BackgroundTask<Output>, _ index: Int) {
        tasks[index] = task
        results.add(task, index)
    }

    func next() async throws -> (index: Int, result: Result<Output, any Error>) {
        let end = try await results.next()
        tasks[end.index] = nil
        return end
    }
}
