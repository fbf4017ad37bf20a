#if TLS
import NIOSSL

/// A version of the protocol. Older ones are not spoken.
public enum TLSVersion: String, Hashable, Sendable, CaseIterable, Comparable, CustomStringConvertible {
    /// RFC 5246.
    case tls12 = "TLS 1.2"
    /// RFC 8446.
    case tls13 = "TLS 1.3"

    /// `TLS 1.3`.
    public var description: String { rawValue }

    /// The older is the smaller.
    public static func < (left: TLSVersion, right: TLSVersion) -> Bool { left.rawValue < right.rawValue }

    init?(_ version: NIOSSL.TLSVersion) {
        switch version {
        case .tlsv12: self = .tls12
        case .tlsv13: self = .tls13
        default: return nil
        }
    }

    var number: NIOSSL.TLSVersion { self == .tls12 ? .tlsv12 : .tlsv13 }
}
#endif
