package import AsyncIOKernel
package import AsyncIOLoop
import SystemPackage

/// A driver without input and output whose time jumps to the next timer as soon as nothing else is ready.
///
/// Hours pass in no time, and two runs see the same instants.
package final class VirtualDriver: Driver {
    package let name = "virtual"
    package private(set) var now = Instant(nanoseconds: 1_000_000_000)
    private let isWoken = Condition(false)

    package init() {}

    package func submit(_ operation: Operation, token: Token) -> Submission {
        .completed(Outcome(Errno.notSupported.negated))
    }

    package func cancel(_ token: Token) {}
    package func rival(of operation: Operation) -> Token? { nil }

    package func wait(until deadline: Instant?, into completions: inout [Completion]) {
        guard let deadline, deadline != .distantFuture else {
            _ = isWoken.wait { woken in woken ? true : nil }
            isWoken.withLock { $0 = false }
            return
        }
        let wasWoken = isWoken.withLock { woken in
            defer { woken = false }
            return woken
        }
        if !wasWoken && deadline > now { now = deadline }
    }

    package nonisolated func wake() {
        isWoken.withLock { $0 = true }
        isWoken.broadcast()
    }

    package func close() {}
}

/// Runs a test's body on a loop whose time is virtual, under the watchdog.
///
/// What sleeps on the loop's clock, and nothing else, decides how time goes: a body that waits for other threads sees
/// it jump.
@discardableResult
package func withVirtualTime<Success: Sendable>(
    _ name: String = #function, errors: Errors = Errors(), limit: Duration = .seconds(400),
    _ body: @escaping @Sendable (EventLoop) async throws -> Success
) async throws -> Success {
    try await Watchdog.onThread(name, limit: limit) {
        let runner = try EventLoop.Runner(
            options: .guest(name: "virtual", errors: errors), driver: VirtualDriver())
        defer { runner.close() }
        let loop = runner.loop
        return try runner.run { try await body(loop) }
    }
}
