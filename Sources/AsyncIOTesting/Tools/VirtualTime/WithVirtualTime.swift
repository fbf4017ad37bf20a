public import AsyncIO
import AsyncIOLoop

/// Runs a test's body on a loop of its own whose time is virtual, and returns its value or throws its error.
///
/// ```swift
/// try await withVirtualTime { time in
///     try await retryForAnHour(on: time.loop)
///     #expect(time.elapsed == .seconds(3_600))
/// }
/// ```
///
/// The calling task itself goes to the loop's thread and comes back: its task locals and its cancellation go with it.
/// At the end time stands still, what is left on the loop is cancelled, may take the options' grace, and is
/// named to the error handler if it does not end.
///
/// - Parameters:
///   - options: What the loop is made with; its driver and its mode do not matter.
///   - mode: Whether time jumps by itself.
///   - body: The test.
/// - Returns: What the body returns.
/// - Throws: What the body throws, and `IOError` if there is no thread to be had.
public func withVirtualTime<Success: Sendable>(
    options: EventLoop.Options = .test(), mode: VirtualTime.Mode = .jumps,
    _ body: @concurrent @Sendable (VirtualTime) async throws -> Success
) async throws -> Success {
    let driver = VirtualDriver()
    let thread = try LoopThread(options: options.asGuest, driver: driver)
    let time = VirtualTime(loop: thread.loop, driver: driver)
    driver.standStill { [weak loop = thread.loop] in loop?.awaitsOffloadedWork ?? false }
    driver.letGo { [weak loop = thread.loop] in loop?.isEnding ?? true }
    time.mode = mode
    let result = await OnLoop.run(thread.loop) {
        defer { driver.freeze() }
        return try await body(time)
    }
    await thread.shutdown()
    return try result.get()
}

/// Runs a test's body on a loop of its own, on a thread of its own, with the system's real time and network.
///
/// As ``withVirtualTime(options:mode:_:)``: the calling task itself goes to the loop and comes back.
public func withEventLoop<Success: Sendable>(
    options: EventLoop.Options = .test(),
    _ body: @concurrent @Sendable (EventLoop) async throws -> Success
) async throws -> Success {
    let thread = try LoopThread(options: options.asGuest)
    let result = await OnLoop.run(thread.loop) { try await body(thread.loop) }
    await thread.shutdown()
    return try result.get()
}

enum OnLoop {
    /// Brings the calling task to the loop, and home again.
    static func run<Success: Sendable>(
        _ loop: EventLoop, _ body: @concurrent @Sendable () async throws -> Success
    ) async -> Result<Success, any Error> {
        await withTaskExecutorPreference(loop) {
            do { return .success(try await body()) } catch { return .failure(error) }
        }
    }
}

extension EventLoop.Options {
    /// A loop beside whatever else the test process runs: it takes nothing over, and leaves signals alone.
    public static func test(
        name: String = "test", driver: DriverChoice = .auto, errors: EventLoop.ErrorHandler = .standardError
    ) -> EventLoop.Options {
        EventLoop.Options(
            name: name, driver: driver, mode: .guest, blockingThreads: 8, grace: .seconds(5), interrupts: [],
            errorHandler: errors)
    }

    /// A test's process belongs to its test framework.
    var asGuest: EventLoop.Options {
        var options = self
        options.mode = .guest
        options.interrupts = []
        return options
    }
}
