import Testing

/// Keeps the issues of a test from being failures, and hands them to a closure afterwards.
struct IssueWitness: TestTrait, TestScoping {
    private let look: @Sendable ([Issue]) -> Void

    init(_ look: @escaping @Sendable ([Issue]) -> Void) { self.look = look }

    func provideScope(
        for test: Test, testCase: Test.Case?, performing function: @concurrent @Sendable () async throws -> Void
    ) async throws {
        let issues = Notes<Issue>()
        let keeper = IssueHandlingTrait.compactMapIssues { issue in
            issues.record(issue)
            return nil
        }
        try await keeper.provideScope(for: test, testCase: testCase) {
            do { try await function() } catch { Issue.record(error) }
        }
        look(issues.all)
    }
}

extension Trait where Self == IssueWitness {
    /// Shows the issues that the test has recorded, under the traits behind this one.
    static func issues(_ look: @escaping @Sendable ([Issue]) -> Void) -> Self { IssueWitness(look) }
}

extension Issue {
    /// What the test has said to it.
    var notes: String { comments.map(\.rawValue).joined(separator: "\n") }
}
