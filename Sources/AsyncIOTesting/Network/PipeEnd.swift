import AsyncIOKernel
import AsyncIOLoop
import CAsyncIO
import Glibc
import SystemPackage

/// One end of a pipe (pipe(7)).
final class PipeEnd: OpenDescription {
    private let channel: LocalChannel
    private let isReader: Bool

    /// What Linux gives a pipe, and what it writes whole (PIPE_BUF).
    private static let capacity = 65_536
    private static let atomic = 4096

    private init(_ kernel: HostKernel, _ channel: LocalChannel, isReader: Bool) {
        self.channel = channel
        self.isReader = isReader
        super.init(kernel)
        if isReader { channel.reader = self } else { channel.writer = self }
    }

    static func pair(_ kernel: HostKernel) -> (OpenDescription, OpenDescription) {
        let channel = LocalChannel(capacity: capacity, worthwhile: atomic)
        return (
            PipeEnd(kernel, channel, isReader: true), PipeEnd(kernel, channel, isReader: false)
        )
    }

    override var label: String { isReader ? "a pipe's end to read" : "a pipe's end to write" }

    override var readiness: UInt32 {
        if isReader {
            return (channel.count > 0 ? Interest.input : 0) | (channel.isFinished ? Interest.hangUp : 0)
        }
        return (channel.room >= Self.atomic ? Interest.output : 0) | (channel.hasNoReader ? Interest.error : 0)
    }

    override func read(into memory: UnsafeMutableRawBufferPointer) -> Int {
        guard isReader else { return Errno.badFileDescriptor.negated }
        if channel.count > 0 && isDrawnToFail(Interest.input) { return Errno.wouldBlock.negated }
        return unsafe channel.read(into: memory) { drawn($0, Interest.input) }
    }

    override func write(_ bytes: UnsafeRawBufferPointer) -> Int {
        guard !isReader else { return Errno.badFileDescriptor.negated }
        if channel.hasNoReader { return Errno.brokenPipe.negated }
        if isDrawnToFail(Interest.output) { return Errno.wouldBlock.negated }
        return unsafe channel.write(bytes, whole: Self.atomic) { drawn($0, Interest.output) }
    }

    /// writev(2): as one write, where the pieces are short together.
    override func send(message: UnsafeMutablePointer<msghdr>) -> Int {
        let pieces = unsafe MessageBytes(message)
        guard pieces.count <= Self.atomic else { return unsafe pieces.gather { unsafe write($0) } }
        return unsafe pieces.bytes.withUnsafeBytes { unsafe write($0) }
    }

    override var waitingBytes: Int { isReader ? channel.count : 0 }

    override func hasClosed() {
        if isReader { channel.loseReader() } else { channel.finish() }
    }
}
