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
/// Short messages are relayed by the driver: two system calls each, no memory while nothing comes, and no task that
/// wakes up. As soon as a read brings as much as it can, there is a flood, and its bytes go through a pipe of the
/// kernel's (splice(2)), without being copied into the process and out again; when it ebbs, the pipe is put back.
struct KernelPump {
    private let source: StreamCore
    private let sink: StreamCore
    /// Counts what the sink has taken.
    private let counter: ByteCounter
    private var canRelay: Bool
    private var canSplice = true

    init(from source: StreamCore, to sink: StreamCore, counting counter: ByteCounter) {
        self.source = source
        self.sink = sink
        self.counter = counter
        canRelay = source.loop === sink.loop
    }

    /// From here on a read is part of a flood.
    private static let flood = StreamCore.maximumRead

    /// Returns at the end of the source's data. A cancelled task gets `CancellationError`; bytes that were read and not
    /// written are lost then, as with any write that is cancelled.
    mutating func run() async throws {
        while let bytes = try await nextThatWaits() {
            try await sink.write(bytes)
            counter.add(bytes.count)
            if bytes.count == Self.flood, try await !splice() { return }
        }
    }

    /// The next bytes that the driver does not pass on by itself.
    private mutating func nextThatWaits() async throws -> [UInt8]? {
        if canRelay {
            let outcome = await source.perform(.relay(source.reader, to: sink.writer, counter))
            if outcome.result != Errno.notSupported.negated {
                try source.check(outcome, "read")
                return outcome.result == 0 ? nil : outcome.bytes
            }
            canRelay = false
        }
        return try await source.read(upTo: Self.flood)
    }

    /// Moves the flood through a pipe. False at the end of the source's data.
    private mutating func splice() async throws -> Bool {
        guard canSplice, let pipe = SplicePipe.take() else { return true }
        var moved: Int
        repeat {
            let outcome = await source.perform(.spliceIn(source.reader, pipe: pipe.writer, count: pipe.capacity))
            moved = outcome.result
            guard moved > 0 else {
                pipe.putBack()
                if moved == 0 { return false }
                guard moved == Errno.invalidArgument.negated else { return try source.check(outcome, "read") > 0 }
                // Some descriptors cannot be spliced: they go on by reads.
                canSplice = false
                return true
            }
            try await empty(pipe, of: moved)
        } while moved >= Self.flood / 2 && canSplice
        pipe.putBack()
        return true
    }
}

extension KernelPump {
    /// Moves all that a pipe holds to the sink, in pieces, so that whoever looks at the counter sees a slow one go on.
    private mutating func empty(_ pipe: SplicePipe, of total: Int) async throws {
        var left = total
        while left > 0 {
            let count = min(left, Self.flood)
            let sent = await sink.perform(.spliceOut(sink.writer, pipe: pipe.reader, count: count))
            if sent.result == Errno.invalidArgument.negated {
                // The sink takes no splices: it goes on by writes.
                canSplice = false
                let bytes = try SystemCall.bytes(of: pipe.reader, count: count)
                guard !bytes.isEmpty else { throw lost(left) }
                try await sink.write(bytes)
                left -= bytes.count
                counter.add(bytes.count)
            } else {
                try sink.check(sent, "write")
                guard sent.result > 0 else { throw lost(left) }
                left -= sent.result
                counter.add(sent.result)
            }
        }
    }

    /// Bytes would go to the next one who uses the pipe.
    private func lost(_ count: Int) -> IOError {
        IOError(.ioError, operation: "write", subject: "\(sink.subject)", detail: "\(count) bytes stuck in a pipe")
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
