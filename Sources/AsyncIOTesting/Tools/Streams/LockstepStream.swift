public import AsyncIO
import AsyncIOKernel
import SystemPackage

/// One end of a pair in memory in which a write ends when the peer has read the bytes: no buffer lies between.
///
/// ```swift
/// let (client, server) = LockstepStream.pair()
/// async let writing: Void = client.write("ping")     // ends only when
/// let ping = try await server.read(upTo: 4)          // this has taken it
/// ```
///
/// A writer is never ahead of its reader, so the steps of a test happen in one order; and a program that relies on
/// buffers between it and its peer (it writes, and reads only then) hangs here, where it would do so in production one
/// day. `tryWrite` takes nothing, since it could not wait for the peer. A write that fails or is cancelled while it
/// waits may have been read in part. For the rest, what `ByteStream` says. trio's lockstep streams.
public final class LockstepStream: ByteStream, CustomStringConvertible {
    /// One direction: how far its reader has come.
    private final class Progress: Sendable {
        struct State {
            var written = 0
            var read = 0
            /// Who waits for the reader.
            var writer: String?
            var change = AsyncEvent(name: "progress of the reader")
            var isOver = false
        }

        let state = Condition(State())

        func change(_ body: (inout State) -> Void) {
            let event = state.withLock { state in
                body(&state)
                defer { state.change = AsyncEvent(name: "progress of the reader") }
                return state.change
            }
            event.set()
        }
    }

    private let inner: MemoryStream
    private let incoming: Progress
    private let outgoing: Progress

    private init(_ inner: MemoryStream, incoming: Progress, outgoing: Progress) {
        self.inner = inner
        self.incoming = incoming
        self.outgoing = outgoing
    }

    deinit { close() }

    /// Makes two ends that are connected with each other; they are `name a` and `name b`.
    public static func pair(name: String = "lockstep") -> (LockstepStream, LockstepStream) {
        let (one, other) = MemoryStream.pair(capacity: 1 << 30, name: name)
        let (there, back) = (Progress(), Progress())
        return (
            LockstepStream(one, incoming: back, outgoing: there), LockstepStream(other, incoming: there, outgoing: back)
        )
    }

    /// `LockstepStream(lockstep a)`.
    public var description: String { "LockstepStream(\(inner.name))" }

    // MARK: Reading

    /// Reads what is there. See `ByteStream.read(upTo:)`.
    public func read(upTo limit: Int) async throws -> [UInt8]? {
        let bytes = try await inner.read(upTo: limit)
        if let bytes { incoming.change { $0.read += bytes.count } }
        return bytes
    }

    /// Reads what is there into the span. See `ByteStream.read(into:)`.
    public func read(into span: inout OutputRawSpan) async throws -> Int {
        let count = try await inner.read(into: &span)
        if count > 0 { incoming.change { $0.read += count } }
        return count
    }

    // MARK: Writing

    /// Writes the bytes, and waits until the peer has read them. See `ByteStream.write(_:)`.
    public func write(_ bytes: RawSpan) async throws {
        if bytes.isEmpty { return }
        try Task.checkCancellation()
        let label = Task.name ?? TaskID.current.map { "#\($0)" } ?? "another task"
        let rival = outgoing.state.withLock { state in
            let rival = state.writer
            if rival == nil { state.writer = label }
            return rival
        }
        if let rival { throw busy(rival, "write") }
        defer { outgoing.state.withLock { $0.writer = nil } }
        try await inner.write(bytes)
        let target = outgoing.state.withLock { state in
            state.written += bytes.byteCount
            return state.written
        }
        while true {
            let (read, isOver, change) = outgoing.state.withLock { ($0.read, $0.isOver, $0.change) }
            if read >= target { return }
            if isOver { return try await explainEnd() }
            try await change.wait()
        }
    }

    /// Takes nothing: it could not wait for the peer. Throws as `ByteStream.tryWrite(_:)` does.
    public func tryWrite(_ bytes: RawSpan) throws -> Int { try inner.tryWrite(bytes.extracting(0..<0)) }

    /// Somebody has closed while a write waited for its reader: what the stream itself says to a writer now.
    private func explainEnd() async throws {
        do { try await inner.write([0]) } catch let error as IOError where error.code == .badFileDescriptor {
            throw IOError(
                .canceled, operation: "write", subject: inner.name, detail: "closed while the operation waited")
        }
        throw IOError(.brokenPipe, operation: "write", subject: inner.name, detail: "the peer has closed")
    }

    private func busy(_ rival: String, _ operation: String) -> IOError {
        IOError(
            .resourceBusy, operation: operation, subject: inner.name,
            detail: "the task \(rival) is at it already; use one reader and one writer at a time")
    }

    // MARK: Ending

    /// Tells the peer that nothing more will come. See `ByteStream.closeWriting()`.
    public func closeWriting() async throws {
        if let writer = outgoing.state.withLock({ $0.writer }) { throw busy(writer, "close writing") }
        try await inner.closeWriting()
    }

    /// Closes this end. A write of the peer that waits for it fails.
    public func close() {
        inner.close()
        endBoth()
    }

    /// Breaks the connection off.
    public func abort() {
        inner.abort()
        endBoth()
    }

    private func endBoth() {
        // The peer may still read what was written here.
        incoming.change { $0.isOver = true }
        outgoing.change { $0.isOver = true }
    }
}
