#if HTTP
/// What two ends of a WebSocket send each other.
public enum WebSocketMessage: Sendable, Hashable {
    /// A text.
    case text(String)
    /// Bytes.
    case binary([UInt8])
}

/// Why a WebSocket was closed (RFC 6455 section 7.4).
public struct WebSocketCloseCode: RawRepresentable, Sendable, Hashable, CustomStringConvertible {
    /// The number, as it is sent.
    public let rawValue: UInt16

    /// Creates a code from its number.
    public init(rawValue: UInt16) { self.rawValue = rawValue }

    /// All is done.
    public static let normal = WebSocketCloseCode(rawValue: 1000)
    /// The server ends, or the page is left.
    public static let goingAway = WebSocketCloseCode(rawValue: 1001)
    /// The peer broke the rules of the protocol.
    public static let protocolError = WebSocketCloseCode(rawValue: 1002)
    /// A kind of message that is not taken.
    public static let unsupportedData = WebSocketCloseCode(rawValue: 1003)
    /// The peer gave no code. Never sent.
    public static let none = WebSocketCloseCode(rawValue: 1005)
    /// The connection ended without a word. Never sent.
    public static let abnormal = WebSocketCloseCode(rawValue: 1006)
    /// A text that is not UTF-8.
    public static let invalidPayload = WebSocketCloseCode(rawValue: 1007)
    /// Against the rules of the application.
    public static let policyViolation = WebSocketCloseCode(rawValue: 1008)
    /// A message that is larger than the limit.
    public static let messageTooBig = WebSocketCloseCode(rawValue: 1009)
    /// Something unforeseen.
    public static let internalError = WebSocketCloseCode(rawValue: 1011)

    /// Whether it may stand in a close frame: 1000 to 1003, 1007 to 1014, and 3000 to 4999 for libraries and programs.
    var maySend: Bool {
        switch rawValue {
        case 1000...1003, 1007...1014, 3000...4999: true
        default: false
        }
    }

    /// `1000`.
    public var description: String { "\(rawValue)" }
}

/// A WebSocket that has ended, or that could not begin.
public struct WebSocketError: Error, Sendable, Hashable, CustomStringConvertible {
    /// With what it was closed, or would have been.
    public let code: WebSocketCloseCode
    /// What the peer said of it, or what is wrong.
    public let reason: String
    /// Whether the peer closed it; else we did.
    public let isByPeer: Bool

    /// Creates an error from its parts.
    public init(_ code: WebSocketCloseCode, _ reason: String, isByPeer: Bool = false) {
        self.code = code
        self.reason = reason
        self.isByPeer = isByPeer
    }

    /// `WebSocket closed by the peer: 1001 going away`.
    public var description: String {
        "WebSocket closed\(isByPeer ? " by the peer" : ""): \(code)\(reason.isEmpty ? "" : " \(reason)")"
    }
}
#endif
