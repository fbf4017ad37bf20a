#if HTTP
import AsyncIO

/// Serves HTTP/1.1 and HTTP/1.0 (RFC 9110, RFC 9112) on listeners of TCP and Unix sockets.
public struct HTTPServer: Sendable {
    /// What clients may cost.
    public var limits = HTTPLimits()

    /// Creates a server with the default limits.
    public init() {}
}
#endif
