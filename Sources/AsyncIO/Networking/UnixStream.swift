public import AsyncIOKernel
public import AsyncIOLoop
import CAsyncIO
import Glibc
import SystemPackage

/// A connection between processes of this machine, over a Unix socket (unix(7)): bytes in order, both ways, with
/// backpressure; open descriptors can be sent along, and the kernel vouches for who the peer is.
///
/// One task may read while another one writes; a second reader or writer at the same time gets an error. Every method
/// may be called from any thread; on the connection's loop it costs no hop. Letting go of the last reference closes the
/// connection.
public final class UnixStream: ByteStream, CustomStringConvertible {
    @usableFromInline let core: StreamCore

    init(_ core: StreamCore) {
        self.core = core
        OpenResources.opened(core.key)
    }

    deinit {
        core.letGo("UnixStream")
        core.close()
    }

    /// The loop that does the connection's work.
    public var loop: EventLoop { core.loop }

    /// The address of the other side; mostly unnamed, if that side has dialled.
    public var peer: SocketAddress { core.peer }

    /// Our own address; nil once the connection is closed, and in a cancelled task.
    public var local: SocketAddress? {
        get async { await core.local }
    }

    /// `UnixStream(unix:/run/app.sock)`.
    public var description: String { "UnixStream(\(peer))" }

    // MARK: Making one

    /// Connects to the socket at a path.
    ///
    /// Suspends while the listener's queue is full: the kernel answers `EAGAIN` then, and the attempt is repeated until
    /// there is room (connect(2)); put a limit around it. A cancelled task gets `CancellationError`. Throws
    /// ``IOError``: `ENOENT` if nothing is at the path, `ECONNREFUSED` if nobody listens there, `EACCES`.
    public static func connect(_ path: String, on loop: EventLoop? = nil) async throws -> UnixStream {
        try await connect(to: .unix(path: path), on: loop)
    }

    /// Connects to an address. As ``connect(_:on:)``.
    public static func connect(to address: SocketAddress, on loop: EventLoop? = nil) async throws -> UnixStream {
        let loop = try EventLoop.required(loop)
        var pause = Duration.milliseconds(1)
        while true {
            let descriptor = try Socket.openUnix(for: address, CInt(SOCK_STREAM.rawValue), "connect")
            let stream = UnixStream(try await StreamCore.adopt(descriptor, .address(address), on: loop))
            let outcome = await stream.core.connect(to: address)
            // A full queue is no error and no progress either: unlike TCP's, this connect(2) has to be called again.
            if outcome.result != Errno.wouldBlock.negated {
                if outcome.result < 0 { stream.close() }
                try loop.check(outcome, "connect", "\(address)")
                return stream
            }
            stream.close()
            try await loop.sleep(for: pause)
            pause = min(pause * 2, .milliseconds(50))
        }
    }

    /// Two connected ends, without a name (socketpair(2)).
    public static func pair(on loop: EventLoop? = nil) async throws -> (UnixStream, UnixStream) {
        let loop = try EventLoop.required(loop)
        let ends = try SystemCall.socketPair(CInt(SOCK_STREAM.rawValue))
        let left = Descriptor(owning: ends.0)
        let right = Descriptor(owning: ends.1)
        let first = UnixStream(try await StreamCore.adopt(left, .address(.unnamedUnix), on: loop))
        let second = UnixStream(try await StreamCore.adopt(right, .address(.unnamedUnix), on: loop))
        return (first, second)
    }

    // MARK: Bytes

    /// The most that one ``read(upTo:)`` returns.
    public static let maximumRead = StreamCore.maximumRead

    /// Reads what is there, at least one byte and at most the limit; nil at the end of the peer's data. See
    /// ``ByteStream/read(upTo:)``. Descriptors that came along are closed; see ``receiveDescriptors(upTo:bytes:)``.
    @inlinable
    public func read(upTo limit: Int = maximumRead) async throws -> [UInt8]? {
        try await core.read(upTo: limit)
    }

    /// Reads what is there into the free part of the span. See ``ByteStream/read(into:)-(OutputRawSpan)``.
    public func read(into span: inout OutputRawSpan) async throws -> Int {
        try await core.read(into: &span)
    }

    /// Reads what is there, and calls the body with the bytes, in place: at least one and at most the limit. Returns
    /// what the body returns; nil at the end of the peer's data, without calling it. See
    /// ``ByteStream/withReceivedBytes(upTo:_:)``: on the connection's loop, usually no allocation.
    @inlinable
    public func withReceivedBytes<Result>(
        upTo limit: Int = maximumRead, _ body: nonisolated(nonsending) (RawSpan) async throws -> Result
    ) async throws -> Result? {
        guard let lent = try await core.lend(upTo: limit) else { return nil }
        defer { core.giveBack(lent) }
        return try unsafe await body(lent.bytes.bytes)
    }

    /// Writes all of the bytes, with backpressure. See ``ByteStream/write(_:)-(RawSpan)``.
    @inlinable
    public func write(_ bytes: [UInt8]) async throws {
        try await core.write(bytes)
    }

    /// Writes all of the bytes, in place, with backpressure. See ``ByteStream/write(_:)-(RawSpan)``.
    @inlinable
    public func write(_ bytes: RawSpan) async throws {
        try await core.write(bytes)
    }

    /// Writes several chunks as one. See ``ByteStream/write(contentsOf:)``.
    public func write(contentsOf chunks: [[UInt8]]) async throws {
        try await core.write(contentsOf: chunks)
    }

    /// Writes what is taken at once. See ``ByteStream/tryWrite(_:)``.
    public func tryWrite(_ bytes: RawSpan) throws -> Int {
        try core.tryWrite(bytes)
    }

    // MARK: Ending

    /// Tells the peer that nothing more will come (half-close). See ``ByteStream/closeWriting()``.
    public func closeWriting() async throws {
        try await core.closeWriting()
    }

    /// Closes the connection. What has been written is still delivered. If received bytes have not been read, the
    /// peer's next read fails with `ECONNRESET` once it has read what was sent to it. Calling it again does nothing.
    public func close() {
        core.close()
    }

    /// The same as ``close()``: a Unix socket cannot be reset.
    public func abort() {
        core.close()
    }
}

extension StreamCore {
    /// connect(2), once.
    func connect(to address: SocketAddress) async -> Outcome {
        let target = UnsafeMutablePointer<SocketAddress>.allocate(capacity: 1)
        unsafe target.initialize(to: address)
        defer {
            unsafe target.deinitialize(count: 1)
            unsafe target.deallocate()
        }
        return unsafe await loop.perform(.connect(writer, UnsafePointer(target)))
    }
}
