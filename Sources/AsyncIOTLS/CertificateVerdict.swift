#if TLS
import AsyncIOLoop
import NIOSSL

/// What was thought of the peer's certificates, and of which one: without it a refusal would say no more than that.
///
/// BoringSSL judges; this listens, and passes its judgement on.
final class CertificateVerdict: Sendable {
    private let refused = Locked<NIOSSLCertificate?>(nil)

    /// The certificate at which the chain was refused.
    var refusedCertificate: NIOSSLCertificate? { refused.withLock { $0 } }

    func hear(_ verdict: NIOSSLVerificationResult, _ certificate: NIOSSLCertificate) -> NIOSSLVerificationResult {
        if case .failed = verdict { refused.withLock { $0 = $0 ?? certificate } }
        return verdict
    }
}

/// Handlers whose connections tell a callback of each certificate that was looked at.
///
/// The callback that NIOSSL has put in its place judges by itself, and would have to look at chains and trust on its
/// own: nobody should write that again. So this protocol asks for the older one.
private protocol ListeningClientHandler: NIOSSLHandler {
    init(context: NIOSSLContext, serverHostname: String?, verificationCallback: NIOSSLVerificationCallback?) throws
}

private protocol ListeningServerHandler: NIOSSLHandler {
    init(context: NIOSSLContext, verificationCallback: NIOSSLVerificationCallback?) throws
}

extension NIOSSLClientHandler: ListeningClientHandler {}

extension NIOSSLServerHandler: ListeningServerHandler {}

extension NIOSSLContext {
    func clientHandler(for name: String?, _ verdict: CertificateVerdict) throws -> NIOSSLHandler {
        try listening(NIOSSLClientHandler.self, name, verdict)
    }

    func serverHandler(_ verdict: CertificateVerdict) throws -> NIOSSLHandler {
        try listening(NIOSSLServerHandler.self, verdict)
    }

    private func listening<Handler: ListeningClientHandler>(
        _ type: Handler.Type, _ name: String?, _ verdict: CertificateVerdict
    ) throws -> NIOSSLHandler {
        try Handler(context: self, serverHostname: name, verificationCallback: verdict.hear)
    }

    private func listening<Handler: ListeningServerHandler>(
        _ type: Handler.Type, _ verdict: CertificateVerdict
    ) throws -> NIOSSLHandler {
        try Handler(context: self, verificationCallback: verdict.hear)
    }
}
#endif
