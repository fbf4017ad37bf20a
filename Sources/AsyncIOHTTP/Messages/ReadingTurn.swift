#if HTTP
import AsyncIO
import AsyncIOLoop

/// Lets one task at a time read: another one gets an error, rather than half of the other's bytes, or a state that two
/// threads change.
struct ReadingTurn: ~Copyable, Sendable {
    private let isTaken = Locked(false)
    let subject: String

    init(_ subject: String) { self.subject = subject }

    /// Reads alone. Throws ``IOError`` with `EBUSY` if another task does.
    func alone<Success>(_ read: () async throws -> Success) async throws -> Success {
        let isMine = isTaken.withLock { isTaken in
            defer { isTaken = true }
            return !isTaken
        }
        guard isMine else {
            throw IOError(
                .resourceBusy, operation: "read", subject: subject, detail: "another task reads it")
        }
        defer { isTaken.withLock { $0 = false } }
        return try await read()
    }
}
#endif
