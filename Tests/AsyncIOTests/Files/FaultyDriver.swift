import AsyncIO
import AsyncIOKernel
import AsyncIOLoop
import AsyncIOTestSupport

/// A driver whose file calls end as a test says; everything else is another driver's.
final class FaultyDriver: Driver {
    private let inner: any Driver
    private let fault: (FileCall) -> Int?
    /// Counts the file calls that it does by itself, when the loop waits the next time; nil if it does none.
    private let deferred: Counter?
    private var waiting: [(Token, FileCall)] = []

    init(_ inner: any Driver, deferred: Counter?, _ fault: @escaping (FileCall) -> Int?) {
        self.inner = inner
        self.deferred = deferred
        self.fault = fault
    }

    var name: String { inner.name }
    var now: Instant { inner.now }

    func submit(_ operation: Operation, token: Token) -> Submission {
        guard case .file(let call) = operation else { return inner.submit(operation, token: token) }
        if let result = fault(call) { return .completed(Outcome(result)) }
        guard let deferred else { return inner.submit(operation, token: token) }
        waiting.append((token, call))
        deferred.add()
        return .pending
    }

    func cancel(_ token: Token) { inner.cancel(token) }
    func rival(of operation: Operation) -> Token? { inner.rival(of: operation) }

    func wait(until deadline: Instant?, into completions: inout CompletionList) {
        inner.wait(until: waiting.isEmpty ? deadline : now, into: &completions)
        completions.append(contentsOf: waiting.map { Completion($0.0, $0.1.perform()) })
        waiting = []
    }

    nonisolated func wake() { inner.wake() }
    func close() { inner.close() }
}

/// Runs a body on a loop whose file calls end as the fault says, where it says something.
func withFaults<Result: Sendable>(
    _ driver: DriverChoice, deferred: Counter? = nil, _ fault: @escaping @Sendable (FileCall) -> Int?,
    body: @escaping @Sendable (EventLoop) async throws -> Result
) async throws -> Result {
    try await Watchdog.onThread {
        let faulty = FaultyDriver(try driver.make(), deferred: deferred, fault)
        return try EventLoop.Runner(options: .guest(driver, name: "test"), driver: faulty).run {
            guard let loop = EventLoop.current else { throw EventLoopError.noLoop }
            return try await body(loop)
        }
    }
}
