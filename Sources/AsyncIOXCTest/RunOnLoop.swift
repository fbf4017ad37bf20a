public import AsyncIO
import AsyncIOLoop
public import AsyncIOTesting
public import XCTest

extension XCTestCase {
    /// Runs a body on a loop of its own, on a thread of its own, and blocks the test meanwhile: for test methods that
    /// are not `async`.
    ///
    /// ```swift
    /// func testEcho() throws {
    ///     try runOnLoop { loop in
    ///         let listener = try await TCPListener.bind("127.0.0.1", 0, on: loop)
    ///         listener.close()
    ///     }
    /// }
    /// ```
    ///
    /// An `async` test method uses `withEventLoop(options:_:)`. The loop never takes the process over: XCTest waits on
    /// the main thread. After the limit, in real time, the body is cancelled and ``IOError`` with `ETIMEDOUT` thrown;
    /// what is left is named to the options' error handler. Throws what the body throws.
    @discardableResult
    public func runOnLoop<Success: Sendable>(
        options: EventLoop.Options = .test(), limit: Duration = .seconds(60),
        _ body: @escaping @concurrent @Sendable (EventLoop) async throws -> Success
    ) throws -> Success {
        try BlockingRun.run(name: name, limit: limit) { try await withEventLoop(options: options, body) }
    }

    /// Runs a body in virtual time, and blocks the test meanwhile: for test methods that are not `async`.
    ///
    /// As `withVirtualTime(options:mode:_:)`, which an `async` test method uses; the limit is that of real time.
    @discardableResult
    public func runInVirtualTime<Success: Sendable>(
        options: EventLoop.Options = .test(), mode: VirtualTime.Mode = .jumps, limit: Duration = .seconds(60),
        _ body: @escaping @concurrent @Sendable (VirtualTime) async throws -> Success
    ) throws -> Success {
        try BlockingRun.run(name: name, limit: limit) {
            try await withVirtualTime(options: options, mode: mode, body)
        }
    }
}

/// A loop whose thread waits for a body: XCTest's own thread blocks in the meantime.
private enum BlockingRun {
    static func run<Success: Sendable>(
        name: String, limit: Duration, _ body: @escaping @concurrent @Sendable () async throws -> Success
    ) throws -> Success {
        let thread = try LoopThread(options: .test(name: name))
        defer { thread.close() }
        return try thread.loop.submit(name: name) { try await body() }.wait(timeout: limit)
    }
}
