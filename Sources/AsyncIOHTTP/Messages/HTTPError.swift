#if HTTP
public import HTTPTypes

/// What is wrong with a message, as a status that says so to its sender.
///
/// A handler that throws one answers with it: `throw HTTPError(.notFound, "no such room: \(name)")`. What a server
/// refuses by itself, and what a client cannot understand of an answer, is one, too.
public struct HTTPError: Error, Sendable, CustomStringConvertible {
    /// The status it is answered with.
    public let status: HTTPResponse.Status
    /// What is wrong, for the peer to read: it names the value and the remedy, and nothing that is secret.
    public let reason: String
    /// Fields that belong to the status: `Allow`, `Retry-After`, `WWW-Authenticate`.
    public let headerFields: HTTPFields

    /// Creates an error from its parts.
    public init(_ status: HTTPResponse.Status, _ reason: String, headerFields: HTTPFields = [:]) {
        self.status = status
        self.reason = reason
        self.headerFields = headerFields
    }

    /// `400 Bad Request: no Host field`.
    public var description: String { "\(status.code) \(status.reasonPhrase): \(reason)" }

    /// A body with more bytes than somebody takes.
    public static func contentTooLarge(limit: Int) -> HTTPError {
        HTTPError(.contentTooLarge, "the body has more than \(limit) bytes")
    }
}
#endif
