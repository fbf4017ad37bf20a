#if TLS
import AsyncIOLoop
import NIOCore
import NIOSSL

/// What a client's connections have in common: made once, which reads the trusted authorities, and used for many.
///
/// Each connection makes a whole handshake: sessions are not resumed, since NIOSSL has no way to take them out and to
/// put them in again on this side. Keep connections where handshakes are too many.
public final class TLSConnector: Sendable {
    /// What it was made of.
    public let configuration: TLSConfiguration
    let context: NIOSSLContext

    /// Makes one. Throws ``TLSError`` if something in the configuration cannot be used. Blocks while it reads files.
    public init(_ configuration: TLSConfiguration = TLSConfiguration()) throws {
        self.configuration = configuration
        context = try configuration.context(.client)
    }

    /// The defaults, made when they are first asked for.
    public static var standard: TLSConnector {
        get throws {
            try made.withLock { made in
                if let made { return made }
                let new = try TLSConnector()
                made = new
                return new
            }
        }
    }

    /// Nil until one could be made.
    private static let made = Locked<TLSConnector?>(nil)
}

/// What a server's connections have in common, and what can be exchanged while it serves: its certificate.
///
/// ```swift
/// let acceptor = try TLSAcceptor(TLSIdentity(certificateFile: "server.pem", keyFile: "server.key"))
/// try await listener.serve(tls: acceptor) { connection in … }
/// ```
public final class TLSAcceptor: Sendable {
    /// What it was made of, but for the identity.
    public let configuration: TLSConfiguration
    private let current: Locked<NIOSSLContext>

    /// Makes one with the defaults.
    public convenience init(_ identity: TLSIdentity) throws {
        try self.init(TLSConfiguration(identity: identity))
    }

    /// Makes one. Throws ``TLSError`` if there is no identity, or something else in the configuration cannot be used.
    public init(_ configuration: TLSConfiguration) throws {
        guard configuration.identity != nil else {
            throw TLSError(.unusable, "configuration", "a server has to show a certificate: set the identity")
        }
        self.configuration = configuration
        current = Locked(try configuration.context(.server))
    }

    var context: NIOSSLContext { current.withLock { $0 } }

    /// Shows another certificate from the next connection on. Those that are open go on as they are; sessions of before
    /// are not resumed. From any thread. Throws ``TLSError`` if it cannot be used; then nothing is changed.
    public func replaceIdentity(_ identity: TLSIdentity) throws {
        var next = configuration
        next.identity = identity
        let context = try next.context(.server)
        let last = current.withLock { current in
            defer { current = context }
            return current
        }
        // What it holds is let go outside of the lock.
        withExtendedLifetime(last) {}
    }
}
#endif
