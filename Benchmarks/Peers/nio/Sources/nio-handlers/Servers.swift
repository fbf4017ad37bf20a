import NIOCore
import NIOPosix

/// As NIO's own example: what one turn reads is written and flushed at its end, and nothing is read for a client that
/// does not read.
final class Echo: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    func channelRead(context: ChannelHandlerContext, data: NIOAny) { context.write(data, promise: nil) }

    func channelReadComplete(context: ChannelHandlerContext) { context.flush() }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
}

/// NIO sets TCP_NODELAY itself.
func listening() -> ServerBootstrap {
    ServerBootstrap(group: group)
        .serverChannelOption(.backlog, value: 4096)
        .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
        .childChannelOption(.maxMessagesPerRead, value: 16)
}

func echo(port: Int) throws -> any Channel {
    try listening()
        .childChannelInitializer { channel in
            channel.eventLoop.makeCompletedFuture {
                try channel.pipeline.syncOperations.addHandlers([BackPressureHandler(), Echo()])
            }
        }
        .bind(host: "127.0.0.1", port: port).wait()
}

/// For datagrams.
final class EchoDatagrams: ChannelInboundHandler {
    typealias InboundIn = AddressedEnvelope<ByteBuffer>
    typealias OutboundOut = AddressedEnvelope<ByteBuffer>

    func channelRead(context: ChannelHandlerContext, data: NIOAny) { context.write(data, promise: nil) }

    func channelReadComplete(context: ChannelHandlerContext) { context.flush() }
}

func udp(port: Int) throws -> any Channel {
    try DatagramBootstrap(group: group)
        .channelOption(.socketOption(.so_reuseaddr), value: 1)
        // The default would cut datagrams off after 2 KiB.
        .channelOption(.recvAllocator, value: FixedSizeRecvByteBufferAllocator(capacity: 65536))
        .channelInitializer { channel in
            channel.eventLoop.makeCompletedFuture { try channel.pipeline.syncOperations.addHandler(EchoDatagrams()) }
        }
        .bind(host: "127.0.0.1", port: port).wait()
}

/// One end of a proxied connection: what it reads goes to its partner, and it reads only while the partner can write.
/// The same as the GlueHandler of NIO's examples, with half-closure.
final class Glue: ChannelDuplexHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private var partner: Glue?
    private var context: ChannelHandlerContext?
    private var pendingRead = false

    static func pair() -> (Glue, Glue) {
        let (first, second) = (Glue(), Glue())
        first.partner = second
        second.partner = first
        return (first, second)
    }

    func handlerAdded(context: ChannelHandlerContext) { self.context = context }

    func handlerRemoved(context: ChannelHandlerContext) {
        self.context = nil
        partner = nil
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) { partner?.context?.write(data, promise: nil) }

    func channelReadComplete(context: ChannelHandlerContext) { partner?.context?.flush() }

    func channelInactive(context: ChannelHandlerContext) { partner?.context?.close(promise: nil) }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        guard let event = event as? ChannelEvent, case .inputClosed = event else { return }
        partner?.context?.close(mode: .output, promise: nil)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        guard context.channel.isWritable, let partner, partner.pendingRead else { return }
        partner.pendingRead = false
        partner.context?.read()
    }

    func read(context: ChannelHandlerContext) {
        if partner?.context?.channel.isWritable == true { context.read() } else { pendingRead = true }
    }
}

func proxy(port: Int, target: Int) throws -> any Channel {
    try listening()
        .childChannelOption(.allowRemoteHalfClosure, value: true)
        .childChannelOption(.autoRead, value: false)
        .childChannelInitializer { client in
            ClientBootstrap(group: client.eventLoop)
                .channelOption(.maxMessagesPerRead, value: 16)
                .channelOption(.allowRemoteHalfClosure, value: true)
                .channelOption(.autoRead, value: false)
                .connect(host: "127.0.0.1", port: target)
                .flatMapThrowing { server in
                    let (here, there) = Glue.pair()
                    try client.pipeline.syncOperations.addHandler(here)
                    try server.pipeline.syncOperations.addHandler(there)
                    return server
                }
                .flatMap { server in
                    server.setOption(.autoRead, value: true).and(client.setOption(.autoRead, value: true)).map { _ in }
                }
        }
        .bind(host: "127.0.0.1", port: port).wait()
}
