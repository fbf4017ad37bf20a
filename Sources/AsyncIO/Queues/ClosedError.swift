/// A queue, channel or the like takes or gives nothing more.
public struct ClosedError: Error, Hashable, CustomStringConvertible {
    /// How it was closed.
    public enum Reason: Hashable, Sendable {
        /// In good order: what was inside has been or can be received.
        case finished
        /// By cancellation: what was inside was dropped.
        case cancelled
    }

    /// What was closed: its name, or its kind.
    public let subject: String
    /// How it was closed.
    public let reason: Reason

    /// Creates the error.
    public init(subject: String, reason: Reason) {
        self.subject = subject
        self.reason = reason
    }

    /// `queue "jobs" has finished`.
    public var description: String {
        reason == .finished ? "\(subject) has finished" : "\(subject) was cancelled"
    }
}
