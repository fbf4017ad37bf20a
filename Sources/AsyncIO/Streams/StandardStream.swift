import AsyncIOKernel
public import AsyncIOLoop
import Glibc
import SystemPackage

/// The process's standard input and output as a stream: what it reads is typed or piped in, what it writes is shown or
/// piped on.
///
/// Terminals, pipes, FIFOs, sockets, files and `/dev/null` all work, each without blocking the loop and without a
/// trace: the descriptors 0 and 1 are shared with the shell and other processes, and stay as they are. Terminals and
/// pipes are opened once more for that, non-blocking, through `/proc/self/fd`; where that is refused, the loop waits
/// until they are ready before it calls. Files are read and written as ``File`` does.
///
/// One task may read while another one writes. Bytes that were read belong to this stream: do not mix it with
/// `readLine` of the standard library.
public final class StandardStream: ByteStream, CustomStringConvertible {
    private let loop: EventLoop
    private let input: StandardEnd
    private let output: StandardEnd

    private init(loop: EventLoop, input: StandardEnd, output: StandardEnd) {
        self.loop = loop
        self.input = input
        self.output = output
    }

    deinit { close() }

    /// `StandardStream`.
    public var description: String { "StandardStream" }

    /// Opens standard input and output, as a stream on the current loop. Suspends for a moment; throws
    /// `EventLoopError.noLoop` where no loop runs. One that the process was started without is `/dev/null`.
    public static func open(on loop: EventLoop? = nil) async throws -> StandardStream {
        let loop = try EventLoop.required(loop)
        let input = try await StandardEnd.open(STDIN_FILENO, .reader, on: loop)
        do {
            let output = try await StandardEnd.open(STDOUT_FILENO, .writer, on: loop)
            return StandardStream(loop: loop, input: input, output: output)
        } catch {
            input.close(on: loop)
            throw error
        }
    }

    // MARK: Bytes

    /// The most that one ``read(upTo:)`` returns.
    public static let maximumRead = StreamCore.maximumRead

    /// Reads what is there; nil at the end of the input. See ``ByteStream/read(upTo:)``.
    public func read(upTo limit: Int = StandardStream.maximumRead) async throws -> [UInt8]? {
        guard limit > 0 else { throw StreamCore.empty(limit, "standard input") }
        switch input {
        case .adopted(let handle): return try await core(handle).read(upTo: limit)
        case .file(let number): return try await readFile(number, limit)
        case .shared(let number):
            while true {
                try await loop.waitReadable(number)
                // By offload: if somebody else is faster, it is a thread of the pool that waits, not the loop.
                let bytes = try await loop.offloadCalls(name: "read standard input") {
                    try SystemCall.sharedBytes(of: number, count: min(limit, StreamCore.maximumRead))
                }
                // None: somebody else was faster.
                if bytes?.isEmpty != true { return bytes }
            }
        }
    }

    private func readFile(_ number: CInt, _ limit: Int) async throws -> [UInt8]? {
        let count = min(limit, StreamCore.maximumRead)
        let bytes = try await FileLane.bytes(of: number, count: count, on: loop, "standard input")
        return bytes.isEmpty ? nil : bytes
    }

    /// Reads what is there into the free part of the span. See ``ByteStream/read(into:)-(OutputRawSpan)``.
    public func read(into span: inout OutputRawSpan) async throws -> Int {
        if case .adopted(let handle) = input { return try await core(handle).read(into: &span) }
        guard let bytes = try await read(upTo: span.freeCapacity) else { return 0 }
        for byte in bytes { span.append(byte) }
        return bytes.count
    }

    /// Writes all of the bytes, with backpressure. See ``ByteStream/write(_:)-(RawSpan)``.
    public func write(_ bytes: RawSpan) async throws {
        if case .adopted(let handle) = output { return try await core(handle).write(bytes) }
        // A copy: the call may be made on another thread.
        try await write(unsafe bytes.withUnsafeBytes { unsafe Array($0) })
    }

    /// Writes all of the bytes, with backpressure. See ``ByteStream/write(_:)-(RawSpan)``.
    public func write(_ bytes: [UInt8]) async throws {
        switch output {
        case .adopted(let handle): try await core(handle).write(bytes)
        case .file(let number):
            try await FileLane.writeAll(bytes, to: number, on: loop, "standard output")
        case .shared(let number):
            var rest = bytes[...]
            while !rest.isEmpty {
                try await loop.waitWritable(number)
                // A pipe that is ready takes this much (pipe(7): PIPE_BUF), unless somebody else is faster.
                let piece = rest.prefix(4096)
                rest = rest.dropFirst(
                    try await loop.offloadCalls(name: "write standard output") {
                        try SystemCall.writeShared(piece, to: number)
                    })
            }
        }
    }

    /// Writes what is taken at once: nothing, where only waiting tells. See ``ByteStream/tryWrite(_:)``.
    public func tryWrite(_ bytes: RawSpan) throws -> Int {
        guard case .adopted(let handle) = output else { return 0 }
        return try core(handle).tryWrite(bytes)
    }

    private func core(_ handle: Handle) -> StreamCore {
        StreamCore(loop: loop, reader: handle, writer: handle, subject: .name("standard stream"))
    }

    // MARK: Ending

    /// Ends the output, as far as it is ours: whoever reads it sees the end when the process has ended. A write that is
    /// under way ends with `ECANCELED`.
    public func closeWriting() async throws {
        output.close(on: loop)
    }

    /// Gives both back. The descriptors 0 and 1 stay open. Calling it again does nothing.
    public func close() {
        input.close(on: loop)
        output.close(on: loop)
    }

    /// The same as ``close()``.
    public func abort() { close() }
}

/// How one of the two is reached.
private enum StandardEnd: Sendable {
    /// Opened once more, non-blocking, for us alone.
    case adopted(Handle)
    /// A file: never waits for anybody, but for the disk.
    case file(CInt)
    /// Others use the same open file: ask only when it is ready.
    case shared(CInt)

    static func open(_ number: CInt, _ side: Operation.Side, on loop: EventLoop) async throws -> StandardEnd {
        var status = stat()
        // Not open: the first call says so.
        guard SystemCall.result({ unsafe fstat(number, &status) }) >= 0 else { return .shared(number) }
        switch status.st_mode & S_IFMT {
        case S_IFREG, S_IFBLK: return .file(number)
        case S_IFSOCK: return .shared(number)
        default:
            let access = side == .reader ? O_RDONLY : O_WRONLY
            let path = "/proc/self/fd/\(number)"
            let again = SystemCall.result { unsafe Glibc.open(path, access | O_NONBLOCK | O_CLOEXEC | O_NOCTTY) }
            guard again >= 0 else { return .shared(number) }
            let descriptor = Descriptor(owning: CInt(truncatingIfNeeded: again))
            return .adopted(try await loop.adopt(descriptor, "descriptor \(number)", .pipe))
        }
    }

    func close(on loop: EventLoop) {
        if case .adopted(let handle) = self { loop.performSoon(closing: handle) }
    }
}
