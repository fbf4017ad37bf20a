#if HTTP
import AsyncIONIO
import NIOCore
import NIOWebSocket

/// Finds frames in what a peer sends: NIOWebSocket's decoder, as a machine without input and output. It keeps no more
/// than one frame, whose length it has checked before it comes. One task uses it at a time.
struct WebSocketFrameReader {
    private let channel: SansIOChannel
    private let sink = FrameSink()

    /// A reader for frames of messages up to a limit. What a sender packs may be a little more than what it was.
    init(limit: Int) {
        let most = min(limit, Int(UInt32.max))
        let frameLimit = min(most + most / 1024 + 64, Int(UInt32.max))
        channel = SansIOChannel(on: ManualLoop())
        let decoder = ByteToMessageHandler(WebSocketFrameDecoder(maxFrameSize: max(frameLimit, 125)))
        do {
            try channel.pipeline.syncOperations.addHandlers(decoder, sink)
        } catch {
            preconditionFailure("a pipeline that was just made takes handlers: \(error)")
        }
        channel.activate()
    }

    /// What came behind the last good frame, and is none.
    var failure: WebSocketError? { sink.failure }

    /// The frames that are whole now. Throws ``WebSocketError`` for what is none, and then for ever.
    func frames(in bytes: [UInt8]) throws -> [WebSocketFrame] {
        if let failure = sink.failure { throw failure }
        channel.feed(ByteBuffer(bytes: bytes))
        if let failure = sink.failure, sink.frames.isEmpty { throw failure }
        let frames = sink.frames
        sink.frames.removeAll(keepingCapacity: false)
        return frames
    }

    /// Lets go of what is unfinished.
    func finish() { channel.close(mode: .all, promise: nil) }

    /// The end of the pipeline.
    private final class FrameSink: ChannelInboundHandler, @unchecked Sendable {
        typealias InboundIn = WebSocketFrame

        var frames: [WebSocketFrame] = []
        var failure: WebSocketError?

        func channelRead(context: ChannelHandlerContext, data: NIOAny) { frames.append(unwrapInboundIn(data)) }

        func errorCaught(context: ChannelHandlerContext, error: any Error) {
            guard failure == nil else { return }
            failure =
                switch error as? NIOWebSocketError {
                case .invalidFrameLength: WebSocketError(.messageTooBig, "a frame that is longer than a message may be")
                case .fragmentedControlFrame: WebSocketError(.protocolError, "a control frame in parts")
                case .multiByteControlFrameLength: WebSocketError(.protocolError, "a control frame of over 125 bytes")
                case nil: WebSocketError(.protocolError, "\(error)")
                }
        }
    }
}

/// Writes frames (RFC 6455 section 5.2): a header of 2 to 14 bytes, and the payload behind it.
struct WebSocketFrameWriter {
    let role: WebSocketRole

    /// One frame, ready to be sent. What a client sends is masked with four random bytes.
    func frame(_ opcode: WebSocketOpcode, isLast: Bool = true, isPacked: Bool = false, _ payload: [UInt8]) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(payload.count + 14)
        let masked: UInt8 = role == .client ? 0x80 : 0
        bytes.append((isLast ? 0x80 : 0) | (isPacked ? 0x40 : 0) | UInt8(webSocketOpcode: opcode))
        switch payload.count {
        case ...125:
            bytes.append(masked | UInt8(payload.count))
        case ...0xffff:
            bytes.append(masked | 126)
            bytes += bigEndian(payload.count, bytes: 2)
        default:
            bytes.append(masked | 127)
            bytes += bigEndian(payload.count, bytes: 8)
        }
        guard role == .client else { return bytes + payload }
        let key = WebSocketMaskingKey.random()
        bytes += key
        var hidden = payload
        WebSocketMask(key).apply(to: &hidden)
        return bytes + hidden
    }

    /// The payload of a close frame: a code and a reason, at most 123 bytes of it, cut between characters.
    static func closing(_ code: WebSocketCloseCode, _ reason: String) -> [UInt8] {
        guard code.maySend else { return [] }
        var text = reason
        while text.utf8.count > 123 { text.removeLast() }
        return bigEndian(Int(code.rawValue), bytes: 2) + Array(text.utf8)
    }
}

private func bigEndian(_ number: Int, bytes count: Int) -> [UInt8] {
    (0..<count).reversed().map { UInt8(truncatingIfNeeded: number >> ($0 * 8)) }
}
#endif
