#if NIO
import AsyncIO
import AsyncIOKernel
import AsyncIOLoop
import NIOCore
import SystemPackage

/// What moves bytes between a stream and a channel: reads when the pipeline wants bytes, and writes what it flushes.
///
/// One task reads. What is flushed goes to the stream at once, in the handler's own call; only what the stream does not
/// take then is left to a second task, which lives as long as there is something to wait for. All of it is on the loop.
@safe
final class ChannelPump: @unchecked Sendable {
    let channel: SansIOChannel
    private let stream: any ByteStream
    private let loop: AsyncIOLoop.EventLoop
    private let attention = AsyncEvent(name: "channel")
    /// Who is at the stream to write: the handler's own call, or a task.
    private var isWriting = false
    private var isDone = false
    /// Why the channel has ended, if the stream has failed.
    private var failure: (any Error)?

    private static let readSize = 65_536

    init(_ channel: SansIOChannel, _ stream: any ByteStream, on loop: AsyncIOLoop.EventLoop) {
        self.channel = channel
        self.stream = stream
        self.loop = loop
        channel.needsAttention = { [unowned self] in attend() }
    }

    /// The channel's whole life. Throws what the stream has failed with, or `CancellationError`.
    func live() async throws {
        channel.activate()
        do {
            while try await step() {}
        } catch {
            end(with: error)
        }
        finish()
        // Handlers are removed with the next tick; a cancelled task waits for that, too.
        while !channel.hasEnded { await AsyncIOLoop.EventLoop.yield() }
        if let failure { throw failure }
    }

    /// What is to be read is read. False at the end.
    private func step() async throws -> Bool {
        guard channel.isOpen else { return false }
        guard channel.wantsRead else {
            attention.clear()
            try await attention.wait()
            return true
        }
        let bytes = try await stream.read(upTo: Self.readSize)
        // Reading may have been stopped meanwhile: then what has come waits here, and everything else where it is.
        while channel.isOpen, !channel.wantsRead {
            attention.clear()
            try await attention.wait()
        }
        if let bytes { channel.feed(ByteBuffer(bytes: bytes)) } else { channel.feedEnd() }
        return true
    }

    /// The stream has failed, or the task was cancelled. What comes of our own closing is no failure.
    private func end(with error: any Error) {
        guard channel.isOpen else { return }
        failure = error
        channel.fail(error)
    }

    // MARK: What the channel wants

    private func attend() {
        guard channel.isOpen else { return finish() }
        attention.set()
        writeNow()
    }

    /// Closes the stream: broken off, where the peer would take what it has got for the whole.
    private func finish() {
        guard !isDone else { return }
        isDone = true
        if channel.hasDroppedOutput || failure is CancellationError { stream.abort() } else { stream.close() }
        attention.set()
    }

    /// Writes what the stream takes at once, and leaves the rest to a task.
    private func writeNow() {
        guard !isWriting else { return }
        isWriting = true
        do {
            while let bytes = channel.nextOutput() {
                let count = try stream.tryWrite(bytes.readableBytesSpan)
                channel.took(count)
                if count < bytes.readableBytes { return startWriting() }
            }
        } catch {
            isWriting = false
            return end(with: error)
        }
        if channel.wantsOutputEnd { return startWriting() }
        isWriting = false
    }

    private func startWriting() {
        let writer = loop.spawn(name: "writer of \(stream)") { await self.write() }
        // Nil if the task has ended; it has not begun yet, so the loop is ending and takes none.
        if writer.observe(.watches, { _ in }) == nil { end(with: EventLoopError.closed(loop.name)) }
    }

    /// The task that waits for the peer.
    private func write() async {
        do {
            while let bytes = channel.nextOutput() {
                // The buffer is held here until the write has returned.
                try await stream.write(bytes.readableBytesSpan)
                channel.took(bytes.readableBytes)
            }
            if channel.wantsOutputEnd {
                try await stream.closeWriting()
                channel.outputHasEnded()
            }
            isWriting = false
            // Handlers may have flushed while the peer was told of the end, or of the last bytes.
            if channel.isOpen { writeNow() }
        } catch {
            isWriting = false
            end(with: error)
        }
    }
}
#endif
