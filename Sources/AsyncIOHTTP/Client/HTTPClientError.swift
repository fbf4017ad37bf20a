#if HTTP
/// Why a client could not get, or would not take, a response.
///
/// What the network refuses stays an ``IOError``, `ConnectError` or `ResolutionError`; what is wrong with the bytes of
/// a response is an ``HTTPError`` with 502, which is what a gateway answers then.
public struct HTTPClientError: Error, Hashable, Sendable, CustomStringConvertible {
    /// What kind of thing went wrong.
    public enum Reason: Hashable, Sendable {
        /// The URL is none, or none that this client takes.
        case invalidURL
        /// `https` was asked for, and nothing here can speak TLS.
        case tlsIsMissing
        /// A phase took longer than ``HTTPClient/Timeouts`` allow.
        case timedOut(HTTPClient.Phase)
        /// More redirects than the limit: mostly a circle.
        case tooManyRedirects
        /// A redirect that is not followed: to a weaker scheme, to a place that is no URL, with a body that is gone.
        case redirectRefused
        /// The server closed the connection before it answered; the request may have been carried out or not.
        case noResponse
        /// The proxy did not open a tunnel, and said so with this status.
        case proxyRefused(status: Int)
        /// The environment or the configuration names a proxy that cannot be used.
        case invalidProxy
        /// A status other than 2xx, which ``HTTPClient/Response/expectSuccess()`` does not let pass.
        case unexpectedStatus(Int)
        /// A body whose coding is broken, or that grows beyond ``HTTPClient/Decompression``.
        case decompressionFailed
        /// The client has been closed.
        case closed
        /// The request contradicts itself.
        case invalidRequest
    }

    /// What kind of thing went wrong.
    public let reason: Reason
    /// What was asked for: method, and URL without credentials and query, which may be secret.
    public let subject: String
    /// What exactly was wrong, and what to do about it.
    public let detail: String

    /// Creates an error from its parts.
    public init(_ reason: Reason, subject: String, detail: String) {
        self.reason = reason
        self.subject = subject
        self.detail = detail
    }

    /// `GET http://example.org/: no byte of the response within 30.0 seconds; …`.
    public var description: String { "\(subject): \(detail)" }
}
#endif
