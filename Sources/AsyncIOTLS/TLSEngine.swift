#if TLS
import AsyncIONIO
import NIOCore
import NIOSSL
import NIOTLS

/// One connection's TLS, without input and output: bytes of the wire in, bytes of the wire out.
///
/// NIOSSL's handler in a pipeline that its caller drives. It knows no thread and no time; ``TLSCore`` lets one thread
/// at a time use it.
final class TLSEngine {
    private let loop = ManualLoop()
    private let channel: SansIOChannel
    private let handler: NIOSSLHandler
    private let start = WireEnd()
    private let end = PlaintextEnd()
    /// The name that the peer's certificate has to be for, beyond what NIOSSL asks of it.
    var expectedName: String?
    /// Whether nothing more can be written: our close_notify is in the outbox, or has gone.
    private(set) var hasFinished = false

    /// Makes the engine and begins: a client's first words are in the outbox then.
    init(_ handler: NIOSSLHandler, expecting address: NIOCore.SocketAddress) throws {
        self.handler = handler
        channel = SansIOChannel(on: loop, remote: address)
        channel.allowsHalfClosure = true
        channel.readsByItself = false
        try channel.pipeline.syncOperations.addHandlers([start, handler, end])
        // All that is written stays with the first handler, so there is nothing to wait for.
        channel.needsAttention = { [unowned channel] in if channel.wantsOutputEnd { channel.outputHasEnded() } }
        drive { channel.activate() }
    }

    deinit {
        // A channel that was never closed would keep itself.
        channel.needsAttention = nil
        channel.fail(ChannelError.alreadyClosed)
        loop.turn()
    }

    /// What is to be sent, in order.
    var outbox: CircularBuffer<ByteBuffer> { start.outbox }

    // MARK: What is known

    var isEstablished: Bool { end.isEstablished }
    var applicationProtocol: String? { end.applicationProtocol }
    var version: TLSVersion? { handler.tlsVersion.flatMap(TLSVersion.init) }
    var peerCertificate: NIOSSLCertificate? { handler.peerCertificate }
    /// Why nothing more will come, if that is not the peer's close_notify.
    var failure: (any Error)? { end.failure }
    /// Whether nothing more can be said: an error has ended the connection.
    var isOver: Bool { !channel.isOpen }
    /// Whether the peer has finished: a close_notify, after all that it has sent.
    var hasEnded: Bool { end.hasEnded }

    // MARK: Bytes of the wire

    /// Takes in what has come.
    func feed(_ bytes: [UInt8]) {
        end.lent.letGo()
        // Later there is hardly ever something to say about what has come.
        if !isEstablished { start.lent.letGo() }
        drive { channel.feed(ByteBuffer(bytes: bytes)) }
    }

    /// Takes in that nothing more comes: an error, unless the peer has finished before.
    func feedEnd() {
        drive {
            channel.feedEnd()
            if !end.hasEnded { end.fail(NIOSSLError.uncleanShutdown) }
        }
    }

    /// So many bytes of the outbox's first buffer have gone.
    func sent(_ count: Int) { start.sent(count) }

    // MARK: The application's bytes

    /// The most that a record holds (RFC 8446, 5.1).
    static let recordSize = 16_384
    /// The most that one ``write(_:)`` takes: three records, which the kernel takes at once for less than one by one.
    /// NIOSSL keeps memory for the most that it has ever encrypted at once; so many records fit in 64 KiB.
    static let pieceSize = 3 * recordSize

    /// Encrypts bytes into the outbox.
    func write(_ bytes: RawSpan) {
        var buffer = ByteBufferAllocator().buffer(capacity: bytes.byteCount)
        buffer.writeBytes(bytes)
        start.lent.letGo()
        drive { channel.writeAndFlush(buffer, promise: nil) }
    }

    /// Puts our close_notify into the outbox.
    func finish() {
        guard !hasFinished else { return }
        hasFinished = true
        drive { channel.close(mode: .output, promise: nil) }
    }

    /// How many decrypted bytes wait.
    var readableBytes: Int { end.plaintext?.readableBytes ?? 0 }

    /// Takes decrypted bytes, at most the limit.
    func take(upTo limit: Int) -> [UInt8] {
        guard var plaintext = end.plaintext else { return [] }
        end.plaintext = nil
        let bytes = plaintext.readBytes(length: min(limit, plaintext.readableBytes)) ?? []
        if plaintext.readableBytes > 0 { end.plaintext = plaintext }
        return bytes
    }

    /// Moves decrypted bytes into memory, and returns their number.
    func take(into memory: UnsafeMutableRawBufferPointer) -> Int {
        guard var plaintext = end.plaintext else { return 0 }
        end.plaintext = nil
        let count = min(memory.count, plaintext.readableBytes)
        // Both are of at least this size, and the memory is the caller's until this returns.
        unsafe plaintext.withUnsafeReadableBytes { bytes in
            unsafe memory.copyMemory(from: UnsafeRawBufferPointer(rebasing: bytes[..<count]))
        }
        plaintext.moveReaderIndex(forwardBy: count)
        if plaintext.readableBytes > 0 { end.plaintext = plaintext }
        return count
    }

    // MARK: Memory

    /// How often the engine has worked.
    private(set) var turns: UInt = 0

    /// How many bytes of the memory that NIOSSL keeps for its next records have been written to: as long as a
    /// connection lives it gives back none of it.
    var usedMemory: Int { start.lent.reach + end.lent.reach }

    /// Gives the pages of that memory back, if nothing is in them that somebody waits for.
    func giveBackMemory() {
        if start.outbox.isEmpty { start.lent.giveBackPages() }
        if end.plaintext == nil { end.lent.giveBackPages() }
    }

    // MARK: Steps

    private func drive(_ body: () -> Void) {
        turns &+= 1
        body()
        loop.turn()
    }
}

/// The pipeline's first handler: keeps what is to be sent. The channel gets nothing, since one that closes drops what
/// it has.
private final class WireEnd: ChannelOutboundHandler {
    typealias OutboundIn = ByteBuffer

    private(set) var outbox = CircularBuffer<ByteBuffer>()
    var lent = LentMemory()

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        let bytes = unwrapOutboundIn(data)
        lent.lend(bytes)
        if bytes.readableBytes > 0 { outbox.append(bytes) }
        promise?.succeed()
    }

    func flush(context: ChannelHandlerContext) {}

    func sent(_ count: Int) {
        guard var first = outbox.popFirst() else { return }
        first.moveReaderIndex(forwardBy: min(count, first.readableBytes))
        if first.readableBytes > 0 { outbox.prepend(first) }
    }
}

/// The pipeline's last handler: keeps what was decrypted, and what has happened.
private final class PlaintextEnd: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    /// What nobody has taken yet. Usually the handler's own memory: whoever takes it all lets go of it.
    var plaintext: ByteBuffer?
    var lent = LentMemory()
    private(set) var isEstablished = false
    private(set) var applicationProtocol: String?
    private(set) var hasEnded = false
    private(set) var failure: (any Error)?

    /// The first failure is the reason of all others.
    func fail(_ error: any Error) {
        if failure == nil && !hasEnded { failure = error }
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var bytes = unwrapInboundIn(data)
        lent.lend(bytes)
        if plaintext == nil { plaintext = bytes } else { plaintext?.writeBuffer(&bytes) }
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        switch event {
        case TLSUserEvent.handshakeCompleted(let negotiated):
            isEstablished = true
            applicationProtocol = negotiated
        case ChannelEvent.inputClosed where failure == nil: hasEnded = true
        default: break
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { fail(error) }

    func channelInactive(context: ChannelHandlerContext) { if !isEstablished { fail(ChannelError.eof) } }
}
#endif
