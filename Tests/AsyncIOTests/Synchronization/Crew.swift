import AsyncIO
import AsyncIOTestSupport
import Testing

/// Where the tasks of a test run.
enum Stage: CaseIterable, Sendable, CustomTestStringConvertible {
    /// All on one loop, the test's own task among them.
    case oneLoop(Setting)
    /// On Swift's own threads.
    case threads

    static let allCases = Setting.onLoop.map { Stage.oneLoop($0) } + [.threads]

    /// For bodies with threads of their own.
    static let real = Setting.onRealLoop.map { Stage.oneLoop($0) } + [.threads]

    var testDescription: String {
        switch self {
        case .oneLoop(let setting): setting.testDescription
        case .threads: "across threads"
        }
    }

    var isThreads: Bool { if case .threads = self { true } else { false } }
}

/// Starts the tasks of a test.
struct Crew: Sendable {
    let loop: EventLoop?

    func start<Success: Sendable>(
        _ name: String? = nil, _ body: @escaping @Sendable () async throws -> Success
    ) -> Task<Success, any Error> {
        Task.detached(name: name, executorPreference: loop, operation: body)
    }

    /// Starts a task and returns when it has raised the count: of those who wait, or who have something.
    func start<Success: Sendable>(
        _ name: String? = nil, raising count: @Sendable () -> Int,
        _ body: @escaping @Sendable () async throws -> Success
    ) async -> Task<Success, any Error> {
        let before = count()
        let task = start(name, body)
        await until { count() > before }
        return task
    }
}

/// Runs a test's body where its stage says, under the watchdog.
func onStage(
    _ stage: Stage, _ name: String = #function, _ body: @escaping @Sendable (Crew) async throws -> Void
) async throws {
    switch stage {
    case .oneLoop(let setting): try await withLoop(setting) { loop in try await body(Crew(loop: loop)) }
    case .threads: try await Watchdog.watch(name) { try await body(Crew(loop: nil)) }
    }
}

/// Whether another task of the loop could run while the body did.
func hasSuspended(_ loop: EventLoop, _ body: () async throws -> Void) async throws -> Bool {
    let turns = Counter()
    let other = Task.detached(executorPreference: loop) { turns.add() }
    try await body()
    let hadTurn = turns.value > 0
    _ = await other.value
    return hadTurn
}

/// Waits until the task that runs this has been cancelled.
func untilCancelled() async {
    await until { Task.isCancelled }
}

extension Task where Failure == any Error {
    /// Whether the task ended with `CancellationError`.
    var wasCancelled: Bool {
        get async {
            guard case .failure(let error) = await result else { return false }
            return error is CancellationError
        }
    }
}

/// Whether there was something to be had: it is given back.
func isThere<Thing: ~Copyable>(_ thing: consuming Thing?) -> Bool {
    switch consume thing {
    case .some: true
    case .none: false
    }
}
