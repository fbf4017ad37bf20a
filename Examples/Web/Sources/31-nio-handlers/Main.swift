// SwiftNIO's own HTTP pipeline, and a handler for it, on our loop: no NIOPosix, no second thread.
//
// Whoever has channel handlers keeps them: a channel here is a pipeline over one of our streams.

import AsyncIO
import AsyncIONIO
import NIOCore
import NIOHTTP1

@main
struct Main {
    static func main() throws {
        try EventLoop.run {
            let port = CommandLine.arguments.dropFirst().first.flatMap { UInt16($0) } ?? 8080
            let listener = try await TCPListener.bind("127.0.0.1", port)
            print("listening on \(listener.address) - try: curl http://\(listener.address)/")
            try await listener.serve { connection in
                try await StreamChannel.run(over: connection) { channel in
                    try channel.pipeline.syncOperations.configureHTTPServerPipeline()
                    try channel.pipeline.syncOperations.addHandler(Hello())
                }
            }
        }
    }
}

/// Answers every request with a line that says where it runs.
final class Hello: ChannelInboundHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias OutboundOut = HTTPServerResponsePart

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard case .end = unwrapInboundIn(data) else { return }
        let body = ByteBuffer(string: "hello from \(context.eventLoop)\n")
        let head = HTTPResponseHead(
            version: .http1_1, status: .ok, headers: ["Content-Length": "\(body.readableBytes)"])
        context.write(wrapOutboundOut(.head(head)), promise: nil)
        context.write(wrapOutboundOut(.body(.byteBuffer(body))), promise: nil)
        context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
    }
}
