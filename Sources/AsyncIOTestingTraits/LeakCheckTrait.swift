import AsyncIO
import AsyncIOLoop
public import AsyncIOTesting
public import Testing

/// Lets a test fail that leaves something behind on its loop: ``Testing/Trait/leakChecked``.
///
/// The test needs a loop, so the trait stands behind ``Testing/Trait/eventLoop(driver:)``,
/// ``Testing/Trait/virtualTime`` or ``Testing/Trait/simulated``, or the suite has one of those.
public struct LeakCheckTrait: TestTrait, SuiteTrait, TestScoping {
    private let kinds: Leaks.Kinds

    init(_ kinds: Leaks.Kinds) { self.kinds = kinds }

    /// A suite's trait is that of its tests.
    public var isRecursive: Bool { true }

    /// Each test is looked at by itself.
    public func scopeProvider(for test: Test, testCase: Test.Case?) -> LeakCheckTrait? {
        testCase == nil ? nil : self
    }

    /// Runs the test, and looks at what is left. Called by Swift Testing.
    public func provideScope(
        for test: Test, testCase: Test.Case?, performing function: @concurrent @Sendable () async throws -> Void
    ) async throws {
        guard EventLoop.current != nil else { throw NothingToCheck() }
        do {
            try await checkLeaks(of: kinds) { try await function() }
        } catch let leaks as Leaks {
            Issue.record(leaks, sourceLocation: test.sourceLocation)
        }
    }

    private struct NothingToCheck: Error, CustomStringConvertible {
        let description =
            "leakChecked looks at the test's loop, and the test has none: put .eventLoop(), .virtualTime or .simulated "
            + "before it"
    }
}

extension Trait where Self == LeakCheckTrait {
    /// Lets the test fail if it leaves a task, an operation, a timer or a body that a timeout has abandoned behind on
    /// its loop: see `checkLeaks(of:_:)`.
    ///
    /// ```swift
    /// @Test("a pool closes its connections", .simulated, .leakChecked(of: [.loop, .descriptors]))
    /// ```
    ///
    /// A task that waits where nobody wakes it is left behind, and with it its continuation. In a simulated world it is
    /// the test's own host that is looked at.
    public static var leakChecked: Self { LeakCheckTrait(.loop) }

    /// As ``leakChecked``, for what is named.
    public static func leakChecked(of kinds: Leaks.Kinds) -> Self { LeakCheckTrait(kinds) }
}
