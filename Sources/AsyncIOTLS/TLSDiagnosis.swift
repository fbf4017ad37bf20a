#if TLS
import AsyncIOLoop
import CAsyncIO
import Glibc
import NIOCore
import NIOSSL

/// Makes of what NIOSSL reports what a person can act upon.
struct TLSDiagnosis {
    /// With whom.
    let subject: String
    let side: TLSSide
    /// The peer's own certificate, as far as it came.
    let certificate: NIOSSLCertificate?
    let isEstablished: Bool

    func explain(_ error: any Error) -> any Error {
        switch error {
        case is TLSError, is CancellationError: error
        case NIOSSLError.uncleanShutdown:
            made(
                .truncated, "the connection ended without close_notify: what has come may be a part of the whole")
        case NIOSSLError.handshakeFailed(let cause): explain(cause)
        case let cause as NIOSSLExtraError
        where cause == .failedToValidateHostname || cause == .serverHostnameImpossibleToMatch:
            nameMismatch
        case let cause as BoringSSLError: explain(cause)
        default: isEstablished ? made(.corrupted, "\(error)") : closedInHandshake
        }
    }

    var nameMismatch: TLSError {
        made(
            .nameMismatch,
            "asked for \(subject), and the certificate is for \(certificate.names): ask for one of these, or have "
                + "the server show another")
    }

    private func made(_ reason: TLSError.Reason, _ detail: String) -> TLSError { TLSError(reason, subject, detail) }

    private var closedInHandshake: TLSError {
        made(.closedInHandshake, "the peer ended the connection during the handshake: is this a port for TLS?")
    }

    private func explain(_ error: BoringSSLError) -> TLSError {
        switch error {
        case .sslError(let stack), .unknownError(let stack):
            guard let first = stack.first else { return closedInHandshake }
            if first == .eofDuringHandshake { return closedInHandshake }
            return explain(code: Self.code(of: first))
        case .invalidSNIName: return made(.nameMismatch, "is no name that a certificate could be for")
        default: return isEstablished ? made(.corrupted, "\(error)") : closedInHandshake
        }
    }

    /// The library's own name of an error: `WRONG_VERSION_NUMBER`.
    private static func code(of error: BoringSSLInternalError) -> String {
        let words = "\(error)".split(separator: " ")
        let word = words.first { $0.contains("OPENSSL_internal:") } ?? ""
        return word.split(separator: ":").last.map(String.init) ?? "\(error)"
    }

    private func explain(code: String) -> TLSError {
        switch code {
        case "CERTIFICATE_VERIFY_FAILED": return badCertificate
        case "PEER_DID_NOT_RETURN_A_CERTIFICATE":
            return made(.certificateRequired, "the peer has shown no certificate, and has to")
        case "HTTP_REQUEST", "HTTPS_PROXY_REQUEST":
            return made(.plainHTTP, "spoke HTTP to a port for TLS: the address has to begin with https")
        case "WRONG_VERSION_NUMBER" where !isEstablished:
            return made(.notTLS, "what the peer says is not TLS: is this a port for TLS?")
        case "UNSUPPORTED_PROTOCOL", "TLSV1_ALERT_PROTOCOL_VERSION", "UNKNOWN_SSL_VERSION":
            return made(
                .protocolVersion,
                "no version in common: the peer is too old or too new (\(code)); 1.2 and 1.3 are spoken here")
        case "NO_SHARED_CIPHER", "UNSUPPORTED_CIPHER", "SSLV3_ALERT_HANDSHAKE_FAILURE",
            "HANDSHAKE_FAILURE_ON_CLIENT_HELLO":
            return made(.noCommonCipher, "no cipher or key in common (\(code))")
        case "TLSV1_ALERT_CERTIFICATE_REQUIRED":
            return made(.certificateRequired, "the peer wants a certificate of ours: set the identity")
        case _ where code.contains("_ALERT_"):
            return made(.refusedByPeer, "the peer has refused us (\(code)): its log may say why")
        default:
            return isEstablished || code.contains("MAC") || code.contains("DECRYPT")
                ? made(.corrupted, "what came is damaged, or against the protocol (\(code))")
                : made(.notTLS, "the peer does not speak TLS as it should (\(code)): is this a port for TLS?")
        }
    }

    // MARK: Certificates

    /// BoringSSL does not say which certificate it refused, nor why: what can be seen in the peer's own is told.
    private var badCertificate: TLSError {
        guard let certificate else { return made(.certificateRefused, "the certificate was refused") }
        let now = time(nil)
        if certificate.notValidAfter < now {
            return made(
                .certificateExpired,
                "the certificate has expired on \(Self.date(certificate.notValidAfter)): it has to be renewed, or the "
                    + "clock here is wrong (\(Self.date(now)))")
        }
        if certificate.notValidBefore > now {
            return made(
                .certificateNotYetValid,
                "the certificate is valid from \(Self.date(certificate.notValidBefore)) on: the clock here may be "
                    + "wrong (\(Self.date(now)))")
        }
        if certificate.subjectName == certificate.issuerName {
            return made(
                .selfSigned,
                "the certificate of \(certificate.title) is signed by itself: trust it by name, if it is yours")
        }
        let issuer = NIOSSLCertificate.title(of: certificate.issuerName)
        return made(
            .unknownAuthority,
            "the certificate is signed by \(issuer), and no chain of good signatures leads from there to an authority "
                + "that is trusted here: trust that authority, if you do; or the server has to send the certificates "
                + "in between, or has sent one that has expired or may not sign this one")
    }

    /// `2024-05-01 12:00:00 UTC`.
    private static func date(_ time: time_t) -> String {
        var (time, parts) = (time, unsafe tm())
        guard unsafe gmtime_r(&time, &parts) != nil else { return "\(time)" }
        var text = [CChar](repeating: 0, count: 64)
        let count = unsafe strftime(&text, text.count, "%Y-%m-%d %H:%M:%S UTC", &parts)
        return String(decoding: text.prefix(count).map(UInt8.init(bitPattern:)), as: UTF8.self)
    }
}

extension NIOSSLCertificate {
    /// What people call it.
    fileprivate var title: String { Self.title(of: subjectName) }

    fileprivate static func title(of name: [SSLCertificateName]) -> String {
        let title = name.first { $0.type == .commonName } ?? name.first { $0.type == .organization } ?? name.first
        return title.map { "\"\($0.value)\"" } ?? "nobody"
    }

    /// The names and addresses that it is for.
    var names: [String] {
        let alternatives = _subjectAlternativeNames().compactMap { name -> String? in
            let bytes = unsafe name.contents.withUnsafeBufferPointer { unsafe Array($0) }
            switch name.nameType {
            case .dnsName: return String(decoding: bytes, as: UTF8.self)
            case .ipAddress: return ByteBuffer(bytes: bytes).address
            default: return nil
            }
        }
        return alternatives
    }

    /// Whether one of its alternative names is that name, or has it with a star for the whole first label, of three
    /// labels or more.
    ///
    /// NIOSSL takes a common name where there are no others, and stars anywhere in the first label (RFC 9525, 6.3 and
    /// 6.4.1, forbid both).
    func isPlainly(for name: String) -> Bool {
        let name = name.lowercased()
        return names.contains { own in
            let own = (own.hasSuffix(".") ? String(own.dropLast()) : own).lowercased()
            if own == name { return !own.contains("*") }
            guard own.hasPrefix("*."), own.dropFirst(2).contains("."), let dot = name.firstIndex(of: ".") else {
                return false
            }
            return own.dropFirst() == name[dot...]
        }
    }
}

extension NIOSSLCertificate? {
    fileprivate var names: String {
        let names = self?.names ?? []
        return names.isEmpty ? "no name at all" : names.joined(separator: ", ")
    }
}

extension ByteBuffer {
    /// An IP address in its usual form, of its bytes.
    fileprivate var address: String? {
        (try? SocketAddress(packedIPAddress: self, port: 0))?.ipAddress
    }
}
#endif
