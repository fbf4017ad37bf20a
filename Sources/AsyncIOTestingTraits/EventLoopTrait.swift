public import AsyncIO
import AsyncIOLoop
public import AsyncIOTesting
public import Testing

/// Runs the body of a test on an event loop: ``Testing/Trait/virtualTime``, ``Testing/Trait/eventLoop(driver:)``.
///
/// The test's own task goes to the loop, so that `#expect`, `confirmation` and time limits work as ever. Each test, and
/// each of a parameterized test's arguments, has a loop of its own, which ends with it; what is left on it is
/// cancelled. An error on the loop that nobody awaits is an issue of the test: that of a background task, or a task
/// that would not stop.
public struct EventLoopTrait: TestTrait, SuiteTrait, TestScoping {
    private let options: EventLoop.Options
    private let mode: VirtualTime.Mode?

    init(_ options: EventLoop.Options, _ mode: VirtualTime.Mode?) {
        self.options = options
        self.mode = mode
    }

    /// A suite's trait is that of its tests.
    public var isRecursive: Bool { true }

    /// Only tests have a loop: a suite has none for all of them together.
    public func scopeProvider(for test: Test, testCase: Test.Case?) -> EventLoopTrait? {
        testCase == nil ? nil : self
    }

    /// Runs the test. Called by Swift Testing.
    public func provideScope(
        for test: Test, testCase: Test.Case?, performing function: @concurrent @Sendable () async throws -> Void
    ) async throws {
        var options = options
        options.name = test.name
        // Such an error may come up where no test is known.
        let errors = Log<UnhandledError>()
        options.errorHandler = .init { errors.add($0) }
        defer { for error in errors.all { Issue.record(error, sourceLocation: test.sourceLocation) } }
        guard let mode else {
            return try await withEventLoop(options: options) { _ in try await function() }
        }
        try await withVirtualTime(options: options, mode: mode) { time in
            try await VirtualTime.$ofTest.withValue(time) { try await function() }
        }
    }
}

extension Trait where Self == EventLoopTrait {
    /// Runs the test on a loop whose time jumps to the next timer when nothing else can happen.
    ///
    /// ```swift
    /// @Test("the lease ends after an hour", .virtualTime)
    /// func lease() async throws {
    ///     let time = try VirtualTime.current
    ///     let lease = Lease(on: time.loop)
    ///     try await time.advance(by: .seconds(3_600))
    ///     #expect(lease.isOver)
    /// }
    /// ```
    public static var virtualTime: Self { EventLoopTrait(.test(), .jumps) }

    /// As ``virtualTime``; with `.onRequest`, time stands still but for `VirtualTime.advance(by:)`.
    public static func virtualTime(_ mode: VirtualTime.Mode) -> Self { EventLoopTrait(.test(), mode) }

    /// Runs the test on a real loop, on a thread of its own.
    public static func eventLoop(driver: DriverChoice = .auto) -> Self { EventLoopTrait(.test(driver: driver), nil) }
}

extension VirtualTime {
    @TaskLocal fileprivate static var ofTest: VirtualTime?

    /// The clock of the test that runs here, under the trait `.virtualTime`. Throws `EventLoopError.noLoop` elsewhere.
    public static var current: VirtualTime {
        get throws {
            guard let time = ofTest else { throw EventLoopError.noLoop }
            return time
        }
    }
}
