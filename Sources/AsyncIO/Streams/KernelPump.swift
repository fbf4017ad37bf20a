import AsyncIOKernel
import AsyncIOLoop
import Synchronization
import SystemPackage

/// A stream over descriptors, between which the kernel can move bytes by itself.
protocol DescriptorStream: ByteStream {
    var core: StreamCore { get }
}

extension TCPStream: DescriptorStream {}
extension UnixStream: DescriptorStream {}
extension PipeStream: DescriptorStream {}

/// Moves bytes from one descriptor to another until the end, with backpressure.
///
/// Short messages are read and written: two system calls, and no memory while nothing comes. As soon as a read brings
/// as much as it can, there is a flood, and its bytes go through a pipe of the kernel's (splice(2)), without being
/// copied into the process and out again; when it ebbs, the pipe is put back.
struct KernelPump {
    let source: StreamCore
    let sink: StreamCore
    /// How many bytes the sink has taken so far.
    private(set) var count = 0

    init(from source: StreamCore, to sink: StreamCore) {
        self.source = source
        self.sink = sink
    }

    /// From here on a read is part of a flood.
    private static let flood = StreamCore.maximumRead

    /// Returns at the end of the source's data, and tells of progress after each step. A cancelled task gets `CancellationError`; bytes that were read and not
    /// written are lost then, as with any write that is cancelled.
    mutating func run(progress: (Int) -> Void) async throws {
        while let bytes = try await source.read(upTo: StreamCore.maximumRead) {
            try await sink.write(bytes)
            count += bytes.count
            progress(bytes.count)
            if bytes.count == Self.flood, try await !splice(progress) { return }
        }
    }

    /// Moves the flood through a pipe. False at the end of the source's data.
    private mutating func splice(_ progress: (Int) -> Void) async throws -> Bool {
        guard let pipe = SplicePipe.take() else { return true }
        do {
            while true {
                let moved = await source.perform(.spliceIn(source.reader, pipe: pipe.writer, count: pipe.capacity))
                guard moved.result > 0 else {
                    pipe.putBack()
                    // Some descriptors cannot be spliced: they go on by reads.
                    if moved.result == Errno.invalidArgument.negated { return true }
                    try source.check(moved, "read")
                    return false
                }
                let sent = await sink.perform(.spliceOut(sink.writer, pipe: pipe.reader, count: moved.result))
                try sink.check(sent, "write")
                count += moved.result
                progress(moved.result)
                guard moved.result >= Self.flood / 2 else {
                    pipe.putBack()
                    return true
                }
            }
        }
    }
}

/// A pipe for bytes on their way through the kernel. Empty whenever it is not on its way.
///
/// One that is let go, since what is in it could not be delivered, is closed; the others wait for the next flood.
private final class SplicePipe: Sendable {
    let reader: CInt
    let writer: CInt
    let capacity: Int
    private static let spare = Locked<[SplicePipe]>([])
    private static let mostSpares = 16
    /// Above the system's limit for a normal user (`pipe-max-size` of proc(5)) the kernel keeps the usual 64 KiB.
    private static let wishedCapacity = 1 << 20

    private init() throws(IOError) {
        (reader, writer) = try SystemCall.pipe()
        capacity = SystemCall.growPipe(writer, to: Self.wishedCapacity)
    }

    deinit {
        _ = SystemCall.close(reader)
        _ = SystemCall.close(writer)
    }

    /// Nil if the system has no descriptors left: then it goes without.
    static func take() -> SplicePipe? {
        spare.withLock { $0.popLast() } ?? (try? SplicePipe())
    }

    func putBack() {
        Self.spare.withLock { spare in
            if spare.count < Self.mostSpares { spare.append(self) }
        }
    }
}
