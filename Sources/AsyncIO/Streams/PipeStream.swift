public import AsyncIOKernel
public import AsyncIOLoop
import Glibc
import Synchronization
import SystemPackage

/// One or two pipes as a stream (pipe(7)): what it reads comes out of one, what it writes goes into the other.
///
/// A one-way stream has only one of them, and refuses the other verb with `EBADF`. One task may read while another one
/// writes; a second reader or writer at the same time gets an error. Every method may be called from any thread.
/// Letting go of the last reference closes both.
public final class PipeStream: ByteStream, CustomStringConvertible {
    let core: StreamCore
    /// A pipe has no half-close: its writing end is closed, and writing again must not say that all is closed.
    private let hasFinishedWriting = Atomic(false)

    private init(_ core: StreamCore) {
        self.core = core
        OpenResources.opened(core.key)
    }

    deinit {
        core.letGo("PipeStream")
        close()
    }

    /// The loop that does the stream's work.
    public var loop: EventLoop { core.loop }

    /// `PipeStream(pipe 7, 9)`.
    public var description: String { "PipeStream(\(core.subject))" }

    // MARK: Making one

    /// A pipe: what is written to the second is read from the first.
    public static func oneWay(
        on loop: EventLoop? = nil
    ) async throws -> (reading: PipeStream, writing: PipeStream) {
        let ends = try SystemCall.pipe()
        let reader = Descriptor(owning: ends.reader)
        let writer = Descriptor(owning: ends.writer)
        let reading = try await PipeStream.reading(reader, on: loop)
        return (reading, try await PipeStream.writing(writer, on: loop))
    }

    /// Two ends, connected by a pipe for each direction.
    public static func pair(on loop: EventLoop? = nil) async throws -> (PipeStream, PipeStream) {
        let there = try SystemCall.pipe()
        let thereOut = Descriptor(owning: there.reader)
        let thereIn = Descriptor(owning: there.writer)
        let back = try SystemCall.pipe()
        let backOut = Descriptor(owning: back.reader)
        let backIn = Descriptor(owning: back.writer)
        let left = try await PipeStream.duplex(reading: backOut, writing: thereIn, on: loop)
        return (left, try await PipeStream.duplex(reading: thereOut, writing: backIn, on: loop))
    }

    /// Takes over the reading end of a pipe or FIFO, and closes it in the end.
    ///
    /// It is made non-blocking, also for other processes that have the same open file: do not give it standard input.
    /// Throws ``IOError`` with `EBADF` for a number that is not open.
    public static func reading(
        _ descriptor: consuming Descriptor, on loop: EventLoop? = nil
    ) async throws -> PipeStream {
        let loop = try EventLoop.required(loop)
        let name = "pipe \(descriptor.number)"
        let handle = try await adopt(descriptor, name, on: loop)
        return PipeStream(StreamCore(loop: loop, reader: handle, writer: .none, subject: .name(name)))
    }

    /// Takes over the writing end of a pipe or FIFO, and closes it in the end. As ``reading(_:on:)``.
    public static func writing(
        _ descriptor: consuming Descriptor, on loop: EventLoop? = nil
    ) async throws -> PipeStream {
        let loop = try EventLoop.required(loop)
        let name = "pipe \(descriptor.number)"
        let handle = try await adopt(descriptor, name, on: loop)
        return PipeStream(StreamCore(loop: loop, reader: .none, writer: handle, subject: .name(name)))
    }

    /// Takes over the reading end of one pipe and the writing end of another. As ``reading(_:on:)``.
    public static func duplex(
        reading: consuming Descriptor, writing: consuming Descriptor, on loop: EventLoop? = nil
    ) async throws -> PipeStream {
        let loop = try EventLoop.required(loop)
        let name = "pipe \(reading.number), \(writing.number)"
        let reader = try await adopt(reading, name, on: loop)
        do {
            let writer = try await adopt(writing, name, on: loop)
            return PipeStream(StreamCore(loop: loop, reader: reader, writer: writer, subject: .name(name)))
        } catch {
            loop.performSoon(closing: reader)
            throw error
        }
    }

    private static func adopt(
        _ descriptor: consuming Descriptor, _ name: String, on loop: EventLoop
    ) async throws -> Handle {
        try Descriptor.setNonBlocking(descriptor.number)
        return try await loop.adopt(descriptor, name, .pipe)
    }

    // MARK: Bytes

    /// The most that one ``read(upTo:)`` returns.
    public static let maximumRead = StreamCore.maximumRead

    /// Reads what is there, at least one byte and at most the limit; nil when the writing end is closed. See
    /// ``ByteStream/read(upTo:)``.
    public func read(upTo limit: Int = maximumRead) async throws -> [UInt8]? {
        try requireReader()
        return try await core.read(upTo: limit)
    }

    /// Reads what is there into the free part of the span. See ``ByteStream/read(into:)-(OutputRawSpan)``.
    public func read(into span: inout OutputRawSpan) async throws -> Int {
        try requireReader()
        return try await core.read(into: &span)
    }

    /// Writes all of the bytes, with backpressure. See ``ByteStream/write(_:)-(RawSpan)``.
    public func write(_ bytes: [UInt8]) async throws {
        try requireWriter()
        try await core.write(bytes)
    }

    /// Writes all of the bytes, in place, with backpressure. See ``ByteStream/write(_:)-(RawSpan)``.
    public func write(_ bytes: RawSpan) async throws {
        try requireWriter()
        try await core.write(bytes)
    }

    /// Writes several chunks as one. See ``ByteStream/write(contentsOf:)``.
    public func write(contentsOf chunks: [[UInt8]]) async throws {
        try requireWriter()
        try await core.write(contentsOf: chunks)
    }

    /// Writes what is taken at once. See ``ByteStream/tryWrite(_:)``.
    public func tryWrite(_ bytes: RawSpan) throws -> Int {
        try requireWriter()
        return try core.tryWrite(bytes)
    }

    private func requireReader() throws {
        if core.reader == .none { throw oneWay("read", "this end only writes") }
    }

    private func requireWriter() throws {
        if core.writer == .none { throw oneWay("write", "this end only reads") }
        guard hasFinishedWriting.load(ordering: .relaxed) else { return }
        throw IOError(.brokenPipe, operation: "write", subject: "\(core.subject)", detail: "writing was closed")
    }

    private func oneWay(_ operation: String, _ detail: String) -> IOError {
        IOError(.badFileDescriptor, operation: operation, subject: "\(core.subject)", detail: detail)
    }

    // MARK: Ending

    /// Closes the writing end: the peer reads what is in the pipe, and then its end. See
    /// ``ByteStream/closeWriting()``.
    public func closeWriting() async throws {
        if core.writer == .none { throw oneWay("close writing", "this end only reads") }
        if hasFinishedWriting.load(ordering: .relaxed) { return }
        try await core.closeWriting()
        hasFinishedWriting.store(true, ordering: .relaxed)
        if core.reader == .none { OpenResources.closed(core.key) }
    }

    /// Closes both ends. What is in the pipe is still delivered. Calling it again does nothing.
    public func close() {
        if core.reader != .none { core.loop.performSoon(closing: core.reader) }
        if core.writer != .none { core.loop.performSoon(closing: core.writer) }
    }

    /// The same as ``close()``: a pipe cannot be reset.
    public func abort() { close() }
}
