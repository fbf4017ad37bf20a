#if NIO
import AsyncIO
import AsyncIOKernel
import AsyncIOLoop
import AsyncIONIO
import AsyncIOTestSupport
import NIOCore
import NIOHTTP1
import NIOWebSocket
import Testing

@Suite("SwiftNIO's own pipelines on our loop", .timeLimit(.minutes(5)))
struct ServerPipelineTests {
    /// Serves HTTP over one end of a connection in memory, and has the body speak at the other end.
    private func withServer<Result: Sendable>(
        _ setting: Setting, _ body: @escaping @Sendable (MemoryStream) async throws -> Result
    ) async throws -> Result {
        try await withLoop(setting) { loop in
            let (ours, theirs) = MemoryStream.pair(capacity: 2_000)
            let server = loop.spawn(name: "server") {
                try await StreamChannel.run(over: ours, on: loop) { channel in
                    try channel.pipeline.syncOperations.configureHTTPServerPipeline(
                        withServerUpgrade: (upgraders: [webSocket], completionHandler: { _ in }))
                    try channel.pipeline.syncOperations.addHandler(PathEcho(), name: "app")
                }
            }
            let result = try await body(theirs)
            theirs.close()
            try await server.value
            return result
        }
    }

    /// Echoes text frames in capitals.
    private var webSocket: NIOWebSocketServerUpgrader {
        NIOWebSocketServerUpgrader(
            shouldUpgrade: { channel, _ in channel.eventLoop.makeSucceededFuture([:]) },
            upgradePipelineHandler: { channel, _ in
                channel.pipeline.removeHandler(name: "app").flatMapThrowing {
                    try channel.pipeline.syncOperations.addHandler(Shout())
                }
            })
    }

    @Test("answers pipelined requests in their order, and streams a body", arguments: Setting.onLoop)
    func pipelining(_ setting: Setting) async throws {
        let text = try await withServer(setting) { client in
            let reader = BufferedReader(client)
            var requests = ""
            for number in 0..<50 { requests += "GET /\(number) HTTP/1.1\r\nHost: x\r\n\r\n" }
            requests += "GET /end HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
            async let sent: Void = client.write(requests)
            var text: [String] = []
            while let line = try await reader.readLine() { text.append(line) }
            try await sent
            return text
        }
        let expected = (0..<50).map { "/\($0)" } + ["/end"]
        #expect(text.filter { $0.hasPrefix("/") } == expected)
        #expect(text.count { $0 == "HTTP/1.1 200 OK" } == 51)
    }

    @Test("refuses what is no HTTP", arguments: Setting.onLoop)
    func badRequest(_ setting: Setting) async throws {
        let text = try await withServer(setting) { client in
            try await client.write("hello there\r\n\r\n")
            return String(decoding: try await client.readAll(), as: UTF8.self)
        }
        #expect(text.hasPrefix("HTTP/1.1 400 Bad Request"))
    }

    @Test("upgrades to WebSocket, and speaks it", arguments: Setting.onLoop)
    func upgrade(_ setting: Setting) async throws {
        let (head, frames) = try await withServer(setting) { client in
            let reader = BufferedReader(client)
            try await client.write(
                """
                GET /chat HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r
                Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n
                """)
            var head: [String] = []
            while let line = try await reader.readLine(), !line.isEmpty { head.append(line) }
            // A masked text "hi", and a masked close.
            try await client.write([0x81, 0x82, 1, 2, 3, 4, 0x68 ^ 1, 0x69 ^ 2, 0x88, 0x80, 1, 2, 3, 4])
            var frames: [UInt8] = []
            while let bytes = try await reader.read(upTo: 100) { frames += bytes }
            return (head, frames)
        }
        #expect(head.first == "HTTP/1.1 101 Switching Protocols")
        // The key and its answer of RFC 6455, 1.3.
        #expect(head.contains { $0.hasSuffix("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=") })
        #expect(frames == [0x81, 2] + Array("HI".utf8) + [0x88, 0])
    }
}

/// Answers each request with its path.
private final class PathEcho: ChannelInboundHandler, RemovableChannelHandler, @unchecked Sendable {
    typealias InboundIn = HTTPServerRequestPart
    typealias OutboundOut = HTTPServerResponsePart
    private var path = ""
    private var isLast = false

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .head(let head):
            path = head.uri
            isLast = !head.isKeepAlive
        case .body: break
        case .end:
            let body = ByteBuffer(string: path + "\r\n")
            let fields: HTTPHeaders = [
                "content-length": "\(body.readableBytes)", "connection": isLast ? "close" : "keep-alive",
            ]
            context.write(
                wrapOutboundOut(.head(HTTPResponseHead(version: .http1_1, status: .ok, headers: fields))), promise: nil)
            context.write(wrapOutboundOut(.body(.byteBuffer(body))), promise: nil)
            let promise = isLast ? context.eventLoop.makePromise(of: Void.self) : nil
            promise?.futureResult.assumeIsolated().whenComplete { _ in context.close(promise: nil) }
            context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: promise)
        }
    }
}

extension PathEcho {
    /// SwiftNIO has answered what is no HTTP; closing is left to us.
    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
}

/// Answers texts in capitals, and the close with a close.
private final class Shout: ChannelInboundHandler, Sendable {
    typealias InboundIn = WebSocketFrame
    typealias OutboundOut = WebSocketFrame

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let frame = unwrapInboundIn(data)
        switch frame.opcode {
        case .text:
            let answer = ByteBuffer(string: String(buffer: frame.unmaskedData).uppercased())
            context.writeAndFlush(
                wrapOutboundOut(WebSocketFrame(fin: true, opcode: .text, data: answer)), promise: nil)
        case .connectionClose:
            let promise = context.eventLoop.makePromise(of: Void.self)
            promise.futureResult.assumeIsolated().whenComplete { _ in context.close(promise: nil) }
            context.writeAndFlush(
                wrapOutboundOut(WebSocketFrame(fin: true, opcode: .connectionClose, data: ByteBuffer())),
                promise: promise)
        default: break
        }
    }
}
#endif
