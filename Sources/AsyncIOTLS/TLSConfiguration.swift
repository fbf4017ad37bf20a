#if TLS
import NIOCore
import NIOSSL

/// How one side of a connection speaks TLS: whom it trusts, what it shows, what it offers, how long it waits.
///
/// The defaults are those that are safe: TLS 1.2 or 1.3, the peer's certificate verified against the system's trusted
/// authorities and against the name or address that was asked for, no renegotiation, no compression, and no ciphers but
/// those that authenticate what they encrypt, with keys that are forgotten (RFC 9325).
public struct TLSConfiguration: Sendable {
    /// Whose signature makes a certificate good.
    public enum Trust: Sendable {
        /// Whom the operating system trusts.
        case system
        /// These authorities alone, in PEM's text form, in a file or a folder.
        case file(String)
        /// These authorities alone, in PEM's text form.
        case pem([UInt8])
        /// Whom the operating system trusts, and these authorities, in PEM's text form.
        case systemAnd(pem: [UInt8])
    }

    /// What is looked at in a server's certificate.
    public enum Verification: Sendable {
        /// That it is valid, that somebody trusted has signed it, and that it is for the name or address asked for.
        case full
        /// All of it but the name: for servers that are known by their authority alone.
        case withoutName
        /// Nothing: anybody may sit in between. For tests.
        case none
    }

    /// Whether a server asks its clients for certificates.
    public enum ClientCertificates: Sendable {
        /// It does not.
        case none
        /// It does, and goes on without one; one that is shown has to be good.
        case optional
        /// It does, and refuses those who show none.
        case required
    }

    /// Whom to trust.
    public var trust = Trust.system
    /// For clients: what is looked at in the server's certificate.
    public var verification = Verification.full
    /// For servers: whether clients are asked for certificates.
    public var clientCertificates = ClientCertificates.none
    /// What we show. Servers need one; clients show it to servers that ask.
    public var identity: TLSIdentity?
    /// What is spoken inside, in the order of preference, by the names of ALPN (RFC 7301): `h2`, `http/1.1`.
    public var applicationProtocols: [String] = []
    /// The oldest version that is accepted.
    public var minimumVersion = TLSVersion.tls12
    /// The newest version that is offered.
    public var maximumVersion = TLSVersion.tls13
    /// How long the handshake may take in all.
    public var handshakeTimeout = Duration.seconds(10)
    /// How long a closed stream may take to hand over what was written, and its last word.
    public var shutdownTimeout = Duration.seconds(5)

    /// The defaults: for clients without a certificate.
    public init() {}

    /// The defaults, with something to show: for servers, and for clients with a certificate.
    public init(identity: TLSIdentity) { self.identity = identity }

    /// What NIOSSL makes of it. Throws ``TLSError`` if there is nothing that could be trusted.
    func context(_ side: TLSSide) throws -> NIOSSLContext {
        var made = NIOSSL.TLSConfiguration.makeClientConfiguration()
        made.minimumTLSVersion = minimumVersion.number
        made.maximumTLSVersion = maximumVersion.number
        made.applicationProtocols = applicationProtocols
        made.renegotiationSupport = .none
        // Those that encrypt and authenticate at once, with keys that are forgotten: block chaining has a history of
        // attacks (Lucky 13), and every peer that speaks 1.2 knows one of these (RFC 9325 section 4.2). Version 1.3 has
        // no others.
        made.cipherSuites = "ECDHE+AESGCM:ECDHE+CHACHA20"
        if let identity {
            made.certificateChain = identity.chain.map { .certificate($0) }
            made.privateKey = .privateKey(identity.key)
        }
        made.certificateVerification =
            switch (side, verification, clientCertificates) {
            case (.client, .full, _): .fullVerification
            case (.client, .withoutName, _): .noHostnameVerification
            case (.client, .none, _), (.server, _, .none): .none
            case (.server, _, .optional): .optionalVerification
            case (.server, _, .required): .noHostnameVerification
            }
        switch trust {
        case .system: made.trustRoots = .default
        case .file(let path): made.trustRoots = .file(path)
        case .pem(let bytes): made.trustRoots = .certificates(try TLSIdentity.certificates(in: bytes, "trust"))
        case .systemAnd(let bytes):
            made.additionalTrustRoots = [.certificates(try TLSIdentity.certificates(in: bytes, "trust"))]
        }
        do { return try NIOSSLContext(configuration: made) } catch {
            throw TLSError(.unusable, "configuration", "\(error): look at the certificate, the key and the trust")
        }
    }
}

/// Which end of a connection.
enum TLSSide: Sendable { case client, server }

/// What one side shows of itself: a chain of certificates, its own first, and its private key.
public struct TLSIdentity: Sendable {
    let chain: [NIOSSLCertificate]
    let key: NIOSSLPrivateKey

    /// Takes both from PEM's text form. The chain begins with the own certificate, followed by those that have signed
    /// it, without the root. Throws ``TLSError`` if something is not what it should be, or the two do not fit.
    public init(certificatePEM: [UInt8], keyPEM: [UInt8]) throws {
        chain = try Self.certificates(in: certificatePEM, "certificate")
        do { key = try NIOSSLPrivateKey(bytes: keyPEM, format: .pem) } catch {
            throw TLSError(.unusable, "key", "is no private key in PEM's form: \(error)")
        }
        // Whether the two fit is seen when they are used: better now than at the first connection.
        _ = try TLSConfiguration(identity: self).context(.server)
    }

    /// Takes both from files. As ``init(certificatePEM:keyPEM:)``; blocks while it reads.
    public init(certificateFile: String, keyFile: String) throws {
        do {
            chain = try NIOSSLCertificate.fromPEMFile(certificateFile)
            key = try NIOSSLPrivateKey(file: keyFile, format: .pem)
        } catch {
            throw TLSError(
                .unusable, "\(certificateFile) and \(keyFile)", "no certificate or no key in PEM's form: \(error)")
        }
        _ = try TLSConfiguration(identity: self).context(.server)
    }

    static func certificates(in pem: [UInt8], _ subject: String) throws -> [NIOSSLCertificate] {
        let found: [NIOSSLCertificate]
        do { found = try NIOSSLCertificate.fromPEMBytes(pem) } catch {
            throw TLSError(.unusable, subject, "no certificate in PEM's form: \(error)")
        }
        guard !found.isEmpty else { throw TLSError(.unusable, subject, "no certificate in PEM's form") }
        return found
    }
}
#endif
