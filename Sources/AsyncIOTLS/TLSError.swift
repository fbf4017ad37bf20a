#if TLS
/// Why a connection could not be made safe, or is no longer.
///
/// Says what failed (``reason``), with whom (``subject``), and what is known and can be done about it; it prints the
/// last two: `example.com: the certificate has expired on 2024-05-01 12:00:00 UTC: …`.
public struct TLSError: Error, Hashable, Sendable, CustomStringConvertible {
    /// What failed.
    public enum Reason: String, Hashable, Sendable {
        /// The peer's certificate is no longer valid.
        case certificateExpired
        /// The peer's certificate is not valid yet.
        case certificateNotYetValid
        /// The server's certificate is for other names than the one that was asked for.
        case nameMismatch
        /// The peer's certificate is signed by itself, and not trusted as such.
        case selfSigned
        /// No chain of good signatures leads from the peer's certificate to an authority that is trusted: that
        /// authority is unknown here, or a certificate in between is missing, has expired, or may not sign.
        case unknownAuthority
        /// The peer's certificate is bad in another way.
        case certificateRefused
        /// The peer has shown no certificate, and has to.
        case certificateRequired
        /// The peer has refused us, by an alert.
        case refusedByPeer
        /// The two sides have no version of the protocol in common.
        case protocolVersion
        /// The two sides have no cipher in common.
        case noCommonCipher
        /// HTTP was spoken to a port that is for TLS.
        case plainHTTP
        /// What the peer says is not TLS.
        case notTLS
        /// The connection ended during the handshake.
        case closedInHandshake
        /// The handshake took too long.
        case handshakeTimeout
        /// Bytes came before the handshake that should have been in it: somebody may have put them there.
        case bytesBeforeHandshake
        /// The connection ended without the peer's last word: what has come may be a part of the whole.
        case truncated
        /// What came was changed on its way, or is against the protocol.
        case corrupted
        /// A certificate, a key or a setting cannot be used.
        case unusable
    }

    /// What failed.
    public let reason: Reason
    /// With whom: the name asked for, or the stream.
    public let subject: String
    /// What is known about it, and the remedy.
    public let detail: String

    /// Creates an error from its parts.
    public init(_ reason: Reason, _ subject: String, _ detail: String) {
        self.reason = reason
        self.subject = subject
        self.detail = detail
    }

    /// One line.
    public var description: String { "\(subject): \(detail)" }
}
#endif
