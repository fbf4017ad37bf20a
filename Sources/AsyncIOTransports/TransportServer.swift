import AsyncIO
public import AsyncIOKernel
public import AsyncIOLoop
import SystemPackage

/// A server whose connections are each told to a ``StreamProtocol`` of their own: what `EventLoop.createServer`
/// returns. asyncio's `Server`.
///
/// The loop owns the server: nobody has to keep this. At the loop's end it stops, and its connections end. Every method
/// may be called from any thread.
public final class TransportServer: Sendable, CustomStringConvertible {
    /// The loop that accepts, and that the connections live on.
    public let loop: EventLoop
    /// Where it listens: with the port that the kernel chose, if none was asked for.
    public let address: SocketAddress

    private let listener: any TransportListener
    private let makeProtocol: @Sendable (EventLoop) throws -> any StreamProtocol
    private let limits: WriteBufferLimits
    private let connectionLimit: Int?
    private let state = Locked(State())
    private let hasEnded = AsyncEvent(name: "server's end")

    private struct State {
        var phase = Phase.bound
        var clients: [ObjectIdentifier: Transport] = [:]
        var task: BackgroundTask<Void>?
        var isServedForever = false
    }

    private enum Phase { case bound, serving, closed }

    /// Whether the server starts by itself.
    public enum Start: Sendable {
        /// It accepts at once.
        case now
        /// It listens, and accepts with ``TransportServer/startServing()`` or ``TransportServer/serveForever()``. Until
        /// then the kernel keeps those who come.
        case later
    }

    init(
        _ listener: any TransportListener, limits: WriteBufferLimits, connectionLimit: Int?,
        _ factory: @escaping @Sendable (EventLoop) throws -> any StreamProtocol
    ) {
        loop = listener.loop
        address = listener.address
        self.listener = listener
        self.limits = limits
        self.connectionLimit = connectionLimit
        makeProtocol = factory
    }

    /// `TransportServer(127.0.0.1:7000)`.
    public var description: String { "TransportServer(\(address))" }

    // MARK: Serving

    /// Whether connections are accepted.
    public var isServing: Bool { state.withLock { $0.phase == .serving } }

    /// The transports of the connections that are alive.
    public var clients: [Transport] { state.withLock { Array($0.clients.values) } }

    /// Begins to accept. Calling it again does nothing, also after ``close()``.
    public func startServing() {
        let task = state.withLock { state -> BackgroundTask<Void>? in
            guard state.phase == .bound else { return nil }
            state.phase = .serving
            // Under the lock, so that who sees a server that serves also sees its task. Nothing of it runs here.
            state.task = loop.spawn(name: "server \(address)") { try await self.serve() }
            return state.task
        }
        // On a loop that has ended, the task has, too.
        _ = task?.observe(.watches) { _ in self.finish() }
    }

    /// Begins to accept, if that has not begun, and suspends until the server is closed and its connections have ended.
    ///
    /// A cancelled task gets `CancellationError`, after the server has been closed, its connections have ended (what
    /// the kernel did not take at once is dropped) and their protocols have been told. Throws ``IOError`` with `EBUSY`
    /// if a task does this already, `EBADF` if the server is closed, and what makes accepting impossible.
    public func serveForever() async throws {
        let refusal = state.withLock { state -> IOError? in
            if state.phase == .closed { return self.refusal(.badFileDescriptor, "the server is closed") }
            if state.isServedForever { return self.refusal(.resourceBusy, "another task serves it for ever already") }
            state.isServedForever = true
            return nil
        }
        if let refusal { throw refusal }
        defer { state.withLock { $0.isServedForever = false } }
        startServing()
        guard let task = state.withLock({ $0.task }) else { return }
        await withTaskCancellationHandler {
            // Waiting for the task's value would end with the caller's cancellation, before the connections have.
            await Waiter.suspend(for: Errand("server's end")) { waiter in
                _ = task.observe(.awaits) { _ in waiter.wake() }
                return true
            }
        } onCancel: {
            close()
            task.cancel()
        }
        try await task.value
        try Task.checkCancellation()
    }

    private func refusal(_ code: Errno, _ detail: String) -> IOError {
        IOError(code, operation: "serve forever", subject: description, detail: detail)
    }

    private func serve() async throws {
        try await listener.accept(limit: connectionLimit) { stream in
            // What this throws is reported, and the stream is closed.
            let listener = try self.makeProtocol(self.loop)
            let transport = try await self.loop.makeTransport(stream, listener, self.limits)
            self.state.withLock { $0.clients[ObjectIdentifier(transport)] = transport }
            await transport.serve()
            _ = self.state.withLock { $0.clients.removeValue(forKey: ObjectIdentifier(transport)) }
        }
    }

    // MARK: Ending

    /// Stops listening. Connections go on. Calling it again does nothing.
    public func close() {
        let former = state.withLock { state in
            defer { state.phase = .closed }
            return state.phase
        }
        switch former {
        case .bound:
            listener.stop()
            finish()
        case .serving: listener.stop()
        case .closed: break
        }
    }

    /// Closes every connection: ``Transport/close()``.
    public func closeClients() { for client in clients { client.close() } }

    /// Breaks every connection off: ``Transport/abort()``.
    public func abortClients() { for client in clients { client.abort() } }

    /// Suspends until the server is closed and its last protocol has got `connectionLost`. A cancelled task stops
    /// waiting with `CancellationError`.
    public func waitClosed() async throws { try await hasEnded.wait() }

    private func finish() {
        state.withLock { $0.phase = .closed }
        hasEnded.set()
    }
}
