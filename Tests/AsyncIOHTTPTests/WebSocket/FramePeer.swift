#if HTTP
@testable import AsyncIOHTTP
import AsyncIOLoop
import AsyncIOTestSupport
import NIOCore
import NIOWebSocket

/// The other end of a server's WebSocket, which can also do what is forbidden.
final class FramePeer: Sendable {
    let stream: any ByteStream
    private let reader = Locked(FrameQueue())
    private let writer = WebSocketFrameWriter(role: .client)

    private struct FrameQueue: @unchecked Sendable {
        let decoder = WebSocketFrameReader(limit: 1 << 20)
        var frames: [WebSocketFrame] = []
    }

    init(_ stream: any ByteStream) { self.stream = stream }

    func frame(_ opcode: WebSocketOpcode, _ payload: [UInt8], isLast: Bool = true) -> [UInt8] {
        writer.frame(opcode, isLast: isLast, payload)
    }

    func send(_ opcode: WebSocketOpcode, _ payload: [UInt8], isLast: Bool = true) async throws {
        try await stream.write(frame(opcode, payload, isLast: isLast))
    }

    /// Waits for the peer's close frame, too, if it has not come before.
    func sayGoodBye() async throws {
        try await send(.connectionClose, [3, 232])
    }

    func next() async throws -> WebSocketFrame {
        while true {
            if let frame = reader.withLock({ $0.frames.isEmpty ? nil : $0.frames.removeFirst() }) { return frame }
            guard let bytes = try await stream.read(upTo: 4096) else { throw EndOfPeer() }
            try reader.withLock { $0.frames += try $0.decoder.frames(in: bytes) }
        }
    }

    private struct EndOfPeer: Error {}
}

/// Serves one end with a body, and gives the other end to a client that speaks in frames.
func withPeer<Success: Sendable>(
    _ options: WebSocketOptions = .init(), server: @escaping @Sendable (WebSocket) async throws -> Void,
    _ client: (FramePeer) async throws -> Success
) async throws -> (Success, Result<Void, any Error>) {
    let (near, far) = MemoryStream.pair()
    let session = try WebSocketSession(over: near, .server, options, WebSocketAgreement())
    async let served: Result<Void, any Error> = {
        do { return .success(try await session.run(server)) } catch { return .failure(error) }
    }()
    let success = try await client(FramePeer(far))
    return (success, await served)
}
#endif
