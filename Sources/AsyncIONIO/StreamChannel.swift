#if NIO
public import AsyncIO
public import AsyncIOLoop
public import NIOCore

/// SwiftNIO's channels over byte streams: every `ChannelHandler` runs on our loop, with neither NIOPosix nor a second
/// thread.
///
/// ```swift
/// let listener = try await TCPListener.bind("127.0.0.1", 8080)
/// try await listener.serve { connection in
///     try await StreamChannel.run(over: connection) { channel in
///         try channel.pipeline.syncOperations.configureHTTPServerPipeline()
///         try channel.pipeline.syncOperations.addHandler(Hello())
///     }
/// }
/// ```
///
/// The channel reads when its pipeline asks (`autoRead`, or `read()`): otherwise bytes wait at the stream, and their
/// sender with them. What handlers flush goes to the stream at once; what it does not take waits, and counts for
/// `isWritable` and the options' water marks. `close(mode: .output)` finishes our side after what was flushed;
/// `allowRemoteHalfClosure` keeps the channel open after the peer's end. A channel that is closed while flushed bytes
/// wait breaks its stream off, so that no peer takes a part for the whole.
///
/// Options of sockets are the stream's own, and refused here with `ChannelError.operationUnsupported`, as are files in
/// writes.
public enum StreamChannel {
    /// Runs a pipeline over a stream until the channel is closed, and with it the stream.
    ///
    /// `configure` adds the handlers, on the loop, before the channel becomes active. Without a loop it is the one that
    /// runs here. Suspends; a cancelled task closes the channel, breaks the stream off and throws `CancellationError`.
    /// Throws what the stream has failed with (``IOError``), after the handlers have heard of it; what `configure`
    /// throws; and `EventLoopError.noLoop`.
    public static func run(
        over stream: any ByteStream, on loop: AsyncIOLoop.EventLoop? = nil,
        _ configure: @escaping @Sendable (any NIOCore.Channel) throws -> Void
    ) async throws {
        let loop = try home(loop)
        guard !loop.isCurrent else { return try await pump(stream, loop, configure).0.live() }
        try await withTaskExecutorPreference(loop) { @concurrent in
            try await pump(stream, loop, configure).0.live()
        }
    }

    /// Starts a pipeline over a stream, in a background task of the loop, and returns what `configure` has made: the
    /// channel itself, or a `NIOAsyncChannel` around it.
    ///
    /// As ``run(over:on:_:)``; but nobody waits for the end, other than by the channel's `closeFuture`. What ends the
    /// channel is for its handlers, and not reported elsewhere. At the loop's end the channel is closed.
    public static func open<Output: Sendable>(
        over stream: any ByteStream, on loop: AsyncIOLoop.EventLoop? = nil,
        _ configure: @escaping @Sendable (any NIOCore.Channel) throws -> Output
    ) async throws -> Output {
        let loop = try home(loop)
        guard !loop.isCurrent else { return try await start(stream, loop, configure) }
        return try await loop.submit(name: "channel") { try await start(stream, loop, configure) }.value
    }

    /// Connects by TCP and starts a pipeline over the connection: what SwiftNIO's `ClientBootstrap` does.
    ///
    /// As `TCPStream.connect`, and then ``open(over:on:_:)``.
    public static func connect<Output: Sendable>(
        _ host: String, _ port: UInt16, options: ConnectOptions = ConnectOptions(),
        on loop: AsyncIOLoop.EventLoop? = nil,
        _ configure: @escaping @Sendable (any NIOCore.Channel) throws -> Output
    ) async throws -> Output {
        let stream = try await TCPStream.connect(host, port, options: options, on: loop)
        return try await open(over: stream, on: loop, configure)
    }

    // MARK: Steps

    private static func home(_ loop: AsyncIOLoop.EventLoop?) throws -> AsyncIOLoop.EventLoop {
        guard let loop = loop ?? .current else { throw AsyncIOLoop.EventLoopError.noLoop }
        return loop
    }

    /// On the loop: the channel with its handlers, and its pump. A stream whose channel cannot be made is closed.
    private static func pump<Output>(
        _ stream: any ByteStream, _ loop: AsyncIOLoop.EventLoop,
        _ configure: (any NIOCore.Channel) throws -> Output
    ) async throws -> (ChannelPump, Output) {
        let (local, remote) = await stream.ends
        let channel = SansIOChannel(on: loop.nio, local: local, remote: remote)
        let pump = ChannelPump(channel, stream, on: loop)
        do { return (pump, try configure(channel)) } catch {
            // The channel does not hold its pump, and calls it.
            withExtendedLifetime(pump) { channel.fail(error) }
            throw error
        }
    }

    private static func start<Output: Sendable>(
        _ stream: any ByteStream, _ loop: AsyncIOLoop.EventLoop,
        _ configure: (any NIOCore.Channel) throws -> Output
    ) async throws -> Output {
        let (pump, output) = try await pump(stream, loop, configure)
        pump.channel.activate()
        let life = loop.submit(name: "channel over \(stream)") { try await pump.live() }
        // Nil if the task has ended; it has not begun yet, so the loop is ending and takes none.
        guard life.observe(.watches, { _ in }) == nil else { return output }
        let failure = AsyncIOLoop.EventLoopError.closed(loop.name)
        withExtendedLifetime(pump) { pump.channel.fail(failure) }
        throw failure
    }
}
#endif
