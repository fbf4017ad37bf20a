#if TLS
public import AsyncIO

// For protocols that begin in plain text, and agree to go on by TLS (STARTTLS: RFC 3207, RFC 4642, RFC 8314).
extension BufferedReader {
    /// Makes the running stream safe, as the client, after the peer has agreed to it: what was read so far was plain
    /// text, what comes next is not. The reader is of no use afterwards: go on with what is returned.
    ///
    /// Bytes that are in the buffer came before the handshake that should have protected them. Somebody in between may
    /// have put them there, to be taken for the peer's (RFC 3207, 4.2): so they are refused with
    /// ``TLSError/Reason/bytesBeforeHandshake``, and the stream is closed. See
    /// ``TLSStream/client(over:host:tls:on:)`` for the rest.
    public func startTLS(host: String, tls connector: TLSConnector? = nil) async throws -> TLSStream {
        try refuseBytesBeforeHandshake(of: host)
        return try await TLSStream.client(over: stream, host: host, tls: connector)
    }

    /// Makes the running stream safe, as the server, after it has been agreed to. As ``startTLS(host:tls:)``.
    public func startTLS(tls acceptor: TLSAcceptor) async throws -> TLSStream {
        try refuseBytesBeforeHandshake(of: "\(stream)")
        return try await TLSStream.server(over: stream, tls: acceptor)
    }

    private func refuseBytesBeforeHandshake(of subject: String) throws {
        guard bufferedCount > 0 else { return }
        stream.close()
        throw TLSError(
            .bytesBeforeHandshake, subject,
            "\(bufferedCount) bytes came before the handshake that should have protected them: they may be anybody's")
    }
}
#endif
