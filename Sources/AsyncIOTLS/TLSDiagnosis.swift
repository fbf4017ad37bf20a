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
    /// The certificate at which its chain was refused.
    let refused: NIOSSLCertificate?
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
            made(
                .nameMismatch,
                "asked for \(subject), and the certificate is for \(certificate.names): ask for one of these, or have "
                    + "the server show another")
        case let cause as BoringSSLError: explain(cause)
        default: isEstablished ? made(.corrupted, "\(error)") : closedInHandshake
        }
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

    private var badCertificate: TLSError {
        guard let refused else { return made(.certificateRefused, "the certificate was refused") }
        let isOwn = refused == certificate || certificate == nil
        let what = isOwn ? "the certificate" : "the certificate of \(refused.title), which has signed it,"
        let now = time(nil)
        if refused.notValidAfter < now {
            return made(
                .certificateExpired,
                "\(what) has expired on \(Self.date(refused.notValidAfter)): it has to be renewed, or the clock here "
                    + "is wrong (\(Self.date(now)))")
        }
        if refused.notValidBefore > now {
            return made(
                .certificateNotYetValid,
                "\(what) is valid from \(Self.date(refused.notValidBefore)) on: the clock here may be wrong "
                    + "(\(Self.date(now)))")
        }
        if refused.subjectName == refused.issuerName {
            return isOwn
                ? made(
                    .selfSigned,
                    "the certificate of \(refused.title) is signed by itself: trust it by name, if it is yours")
                : made(
                    .unknownAuthority,
                    "\(refused.title) is no authority that is trusted here: trust it by name, if you do")
        }
        let issuer = NIOSSLCertificate.title(of: refused.issuerName)
        return made(
            .incompleteChain,
            "\(what) is signed by \(issuer), which is neither trusted here nor among what the peer has sent: the "
                + "server has to send the certificates in between, or the authority has to be trusted")
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
