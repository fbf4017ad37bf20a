#if NIO
import AsyncIOLoop
import NIOCore

/// What handlers and callbacks have noted, in order.
final class NIOLockedList<Element: Sendable>: Sendable {
    private let elements = Locked<[Element]>([])
    var all: [Element] { elements.withLock { $0 } }
    func append(_ element: Element) { elements.withLock { $0.append(element) } }
}

/// Notes every event that reaches it, and passes it on.
final class EventRecorder: ChannelDuplexHandler, @unchecked Sendable {
    typealias InboundIn = ByteBuffer
    typealias OutboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    let events = NIOLockedList<String>()
    /// What to do at an event.
    var react: (String, ChannelHandlerContext) -> Void = { _, _ in }

    private func note(_ event: String, _ context: ChannelHandlerContext) {
        events.append(event)
        react(event, context)
    }

    func channelRegistered(context: ChannelHandlerContext) { note("registered", context) }
    func channelUnregistered(context: ChannelHandlerContext) { note("unregistered", context) }
    func channelActive(context: ChannelHandlerContext) { note("active", context) }
    func channelInactive(context: ChannelHandlerContext) { note("inactive", context) }
    func channelReadComplete(context: ChannelHandlerContext) { note("read complete", context) }
    func channelWritabilityChanged(context: ChannelHandlerContext) {
        note(context.channel.isWritable ? "writable" : "not writable", context)
    }
    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        note("read \(String(buffer: unwrapInboundIn(data)))", context)
    }
    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) { note("event \(event)", context) }
    func errorCaught(context: ChannelHandlerContext, error: any Error) { note("error \(error)", context) }
    func handlerRemoved(context: ChannelHandlerContext) { note("removed", context) }
    func read(context: ChannelHandlerContext) {
        note("wants read", context)
        context.read()
    }
}

/// Sends back what comes, and finishes when the peer has.
final class EchoHandler: ChannelInboundHandler, Sendable {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    func channelRead(context: ChannelHandlerContext, data: NIOAny) { context.write(data, promise: nil) }
    func channelReadComplete(context: ChannelHandlerContext) { context.flush() }
    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case ChannelEvent.inputClosed = event { context.close(mode: .output, promise: nil) }
    }
}
#endif
