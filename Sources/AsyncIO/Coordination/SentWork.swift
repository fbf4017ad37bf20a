/// Carries a closure that may capture anything into the one task that runs it, once.
struct SentWork<Success>: @unchecked Sendable {
    private let body: () async throws -> Success
    init(_ body: sending @escaping () async throws -> Success) { self.body = body }
    func run() async throws -> Success { try await body() }
}

extension Result where Failure == any Error {
    /// How a piece of work ended.
    static func of(_ work: () async throws -> Success) async -> Result {
        do { return .success(try await work()) } catch { return .failure(error) }
    }
}
