public import AsyncIO
import AsyncIOKernel
import SystemPackage

/// One end of a connection that misbehaves as a test wants it to: what is behind it is another stream.
///
/// ```swift
/// let (client, server) = MemoryStream.pair()
/// let flaky = FaultyStream(client, faults: .init(bytesPerRead: 1, failure: .init(after: 100)))
/// ```
///
/// The faults can be changed at any moment, also while operations are under way; those see the change at their next
/// step. Where nothing is wrong, it is the stream behind it.
public final class FaultyStream: ByteStream, CustomStringConvertible {
    /// What is wrong with a stream. Nothing, unless said otherwise.
    public struct Faults: Sendable, Equatable {
        /// A read gives at most so many bytes, however many there are.
        public var bytesPerRead: Int?
        /// How long, by the loop's clock, each read and each write takes before it begins.
        public var delay: Duration?
        /// What happens after so many bytes.
        public var failure: Failure?
        /// Writes are never accepted: they wait until they are cancelled, the stream is closed, or this is changed.
        public var acceptsNoWrites = false

        /// Creates faults.
        public init(
            bytesPerRead: Int? = nil, delay: Duration? = nil, failure: Failure? = nil, acceptsNoWrites: Bool = false
        ) {
            self.bytesPerRead = bytesPerRead
            self.delay = delay
            self.failure = failure
            self.acceptsNoWrites = acceptsNoWrites
        }
    }

    /// An end that comes in the middle.
    public struct Failure: Sendable, Equatable {
        /// How a connection dies.
        public enum Kind: Sendable, Equatable {
            /// Reads and writes fail with this error number from then on.
            case error(Errno)
            /// Both directions are silent from then on: reads wait, writes vanish. A pulled cable.
            case cut
        }

        /// Which bytes count.
        public enum Direction: Sendable, Equatable {
            /// Those that are read here.
            case read
            /// Those that are written here.
            case written
            /// All of them.
            case both
        }

        /// How many bytes pass before.
        public var after: Int
        /// Which bytes count.
        public var counting: Direction
        /// How it dies.
        public var kind: Kind

        /// Creates a failure; a connection reset, unless said otherwise.
        public init(after: Int, counting: Direction = .both, kind: Kind = .error(.connectionReset)) {
            self.after = max(after, 0)
            self.counting = counting
            self.kind = kind
        }
    }

    private struct State {
        var faults: Faults
        var bytesRead = 0
        var bytesWritten = 0
        var isClosed = false
        /// Who reads and who writes.
        var reader: String?
        var writer: String?
        /// Set when the faults change, or the stream is closed: who waits looks again.
        var change = AsyncEvent(name: "change of faults")
        /// Who reads hears by it that what was written has been the connection's end.
        var death: AsyncEvent?
        /// Whether a write may break the connection off, for who reads, too.
        var mayDieOfWrites: Bool {
            guard let failure = faults.failure, case .error = failure.kind else { return false }
            return failure.counting != .read
        }

        /// How many bytes may still pass in a direction; nil without a limit.
        func allowance(_ direction: Failure.Direction) -> Int? {
            guard let failure = faults.failure else { return nil }
            switch failure.counting {
            case .both: return max(0, failure.after - bytesRead - bytesWritten)
            case .read: return direction == .read ? max(0, failure.after - bytesRead) : nil
            case .written: return direction == .written ? max(0, failure.after - bytesWritten) : nil
            }
        }

        /// Whether the connection has died.
        var isDead: Bool {
            guard let failure = faults.failure else { return false }
            let passed =
                switch failure.counting {
                case .both: bytesRead + bytesWritten
                case .read: bytesRead
                case .written: bytesWritten
                }
            return passed >= failure.after
        }
    }

    private let inner: any ByteStream
    private let state: Condition<State>

    /// Wraps a stream, which belongs to this one from here on.
    public init(_ stream: any ByteStream, faults: Faults = Faults()) {
        inner = stream
        state = Condition(State(faults: faults))
    }

    deinit { inner.close() }

    /// What is wrong with the stream.
    public var faults: Faults {
        get { state.withLock { $0.faults } }
        set { change { $0.faults = newValue } }
    }

    /// How many bytes were read and written here.
    public var passed: (read: Int, written: Int) { state.withLock { ($0.bytesRead, $0.bytesWritten) } }

    /// `FaultyStream(MemoryStream(memory a))`.
    public var description: String { "FaultyStream(\(inner))" }

    private func change(_ body: (inout State) -> Void) {
        let event = state.withLock { state in
            body(&state)
            defer { state.change = AsyncEvent(name: "change of faults") }
            return state.change
        }
        event.set()
    }

    // MARK: Reading

    /// Reads what is there, with the faults. See `ByteStream.read(upTo:)`.
    public func read(upTo limit: Int) async throws -> [UInt8]? {
        guard limit > 0 else { return try await inner.read(upTo: limit) }
        try enter(\.reader, "read")
        defer { state.withLock { $0.reader = nil } }
        try await pass(.read, "read")
        let (allowed, perRead) = state.withLock { ($0.allowance(.read), $0.faults.bytesPerRead) }
        let most = min(limit, allowed ?? limit, max(perRead ?? limit, 1))
        let bytes = try await readWhileAlive(most)
        state.withLock { $0.bytesRead += bytes?.count ?? 0 }
        return bytes
    }

    /// Reads, unless the connection dies of a write meanwhile.
    private func readWhileAlive(_ most: Int) async throws -> [UInt8]? {
        let death = state.withLock { state -> AsyncEvent? in
            state.death = state.mayDieOfWrites ? AsyncEvent(name: "end of the connection") : nil
            return state.death
        }
        guard let death else { return try await inner.read(upTo: most) }
        defer { state.withLock { $0.death = nil } }
        let result = await withTaskGroup(of: Result<[UInt8]?, any Error>?.self) { group in
            group.addTask { [inner] in
                do { return .success(try await inner.read(upTo: most)) } catch { return .failure(error) }
            }
            group.addTask {
                try? await death.wait()
                return nil
            }
            var result: Result<[UInt8]?, any Error>?
            for await end in group {
                if let end { result = end }
                group.cancelAll()
            }
            return result
        }
        // What came before the end is not lost.
        if case .failure(let failure)? = result, failure is CancellationError, death.isSet {
            try Task.checkCancellation()
            _ = try await pass(.read, "read")
        }
        return try result?.get()
    }

    /// Bytes were written; they may have been the last ones.
    private func wrote(_ count: Int) {
        let death = state.withLock { state in
            state.bytesWritten += count
            return state.isDead ? state.death : nil
        }
        death?.set()
    }

    /// Reads what is there into the span, with the faults. See `ByteStream.read(into:)`.
    public func read(into span: inout OutputRawSpan) async throws -> Int {
        guard span.freeCapacity > 0 else { return try await inner.read(into: &span) }
        guard let bytes = try await read(upTo: span.freeCapacity) else { return 0 }
        for byte in bytes { span.append(byte) }
        return bytes.count
    }

    // MARK: Writing

    /// Writes the bytes, with the faults: of those that the connection does not live to see, none arrives. See
    /// `ByteStream.write(_:)`.
    public func write(_ bytes: RawSpan) async throws {
        if bytes.isEmpty { return }
        try enter(\.writer, "write")
        defer { state.withLock { $0.writer = nil } }
        var sent = 0
        while sent < bytes.byteCount {
            if try await pass(.written, "write") == .vanishes { return }
            let rest = bytes.byteCount - sent
            let count = min(rest, state.withLock { $0.allowance(.written) } ?? rest)
            try await inner.write(bytes.extracting(sent..<(sent + count)))
            sent += count
            wrote(count)
        }
    }

    /// Writes what is taken at once, with the faults. See `ByteStream.tryWrite(_:)`.
    public func tryWrite(_ bytes: RawSpan) throws -> Int {
        if bytes.isEmpty { return 0 }
        let (isRefused, isDead, kind, allowed) = state.withLock { state in
            (
                state.faults.acceptsNoWrites || state.faults.delay != nil || state.writer != nil, state.isDead,
                state.faults.failure?.kind, state.allowance(.written)
            )
        }
        if isDead, let kind {
            switch kind {
            case .error(let code): throw error(code, "write")
            case .cut: return bytes.byteCount
            }
        }
        if isRefused { return 0 }
        let count = try inner.tryWrite(bytes.extracting(0..<min(bytes.byteCount, allowed ?? bytes.byteCount)))
        wrote(count)
        return count
    }

    // MARK: Ending

    /// Tells the peer that nothing more will come, unless the connection has been cut.
    public func closeWriting() async throws {
        let (writer, isDead, kind) = state.withLock { ($0.writer, $0.isDead, $0.faults.failure?.kind) }
        if let writer { throw busy(writer, "close writing") }
        if isDead, kind == .cut { return }
        try await inner.closeWriting()
    }

    /// Closes the stream.
    public func close() {
        change { $0.isClosed = true }
        inner.close()
    }

    /// Breaks the stream off.
    public func abort() {
        change { $0.isClosed = true }
        inner.abort()
    }

    // MARK: Steps

    private enum Passage { case goesOn, vanishes }

    private func enter(_ side: WritableKeyPath<State, String?>, _ operation: String) throws {
        let label = Task.name ?? TaskID.current.map { "#\($0)" } ?? "another task"
        let rival = state.withLock { state in
            let rival = state[keyPath: side]
            if rival == nil { state[keyPath: side] = label }
            return rival
        }
        if let rival { throw busy(rival, operation) }
    }

    private func busy(_ rival: String, _ operation: String) -> IOError {
        error(.resourceBusy, operation, "the task \(rival) is at it already; use one reader and one writer at a time")
    }

    /// Waits until the faults let an operation begin.
    @discardableResult
    private func pass(_ direction: Failure.Direction, _ operation: String) async throws -> Passage {
        try Task.checkCancellation()
        if let delay = state.withLock({ $0.faults.delay }), let loop = EventLoop.current {
            try await loop.sleep(for: delay)
        }
        while true {
            let (isClosed, isDead, faults, change) = state.withLock { ($0.isClosed, $0.isDead, $0.faults, $0.change) }
            if isClosed { return .goesOn }
            if isDead, let kind = faults.failure?.kind {
                switch kind {
                case .error(let code): throw error(code, operation)
                case .cut where direction == .written: return .vanishes
                case .cut: break
                }
            } else if direction != .written || !faults.acceptsNoWrites {
                return .goesOn
            }
            try await change.wait()
            if state.withLock({ $0.isClosed }) {
                throw error(.canceled, operation, "closed while the operation waited")
            }
        }
    }

    private func error(_ code: Errno, _ operation: String, _ detail: String? = nil) -> IOError {
        IOError(code, operation: operation, subject: "\(inner)", detail: detail)
    }
}
