import AsyncIOKernel
import AsyncIOLoop
import Synchronization
import SystemPackage

/// Where a listener is in its life as a server.
struct ServerState {
    var isServing = false
    var isShuttingDown = false
    var hasEnded = false
    var task: Task<Void, Never>?
    var failure: (any Error)?
    /// Ends the drain time.
    var alarms: [ScheduledCall] = []
}

extension TCPListener {
    /// Accepts connections and runs a handler for each, as a child task, until the server is shut down or cancelled.
    ///
    /// When a handler returns or throws, its connection is closed, and that connection alone; an error goes to the
    /// loop's error handler with the peer's address. What accept(2) reports of a single connection is survived. When
    /// descriptors or memory run out, accepting pauses, one report is made, and accepting resumes as soon as some are
    /// free.
    ///
    /// Cancelling the task that serves is ``shutdown(drain:)`` with the drain time given here: at once by default.
    /// Returns after the last handler has ended. Throws ``IOError`` if the listening socket itself fails or was closed.
    public func serve(
        drain: Duration = .zero, _ handler: @escaping @Sendable (TCPStream) async throws -> Void
    ) async throws {
        let isFirst = server.withLock { state in
            defer { state.isServing = true }
            return !state.isServing
        }
        guard isFirst else {
            throw IOError(
                .resourceBusy, operation: "serve", subject: "\(address)",
                detail: "this listener is serving already; bind a second one with reusePort to share the port")
        }
        let task = loop.startTask(named: "server \(address)") { await self.acceptLoop(handler) }
        let isTooLate = server.withLock { state in
            state.task = task
            return state.isShuttingDown
        }
        if isTooLate { task.cancel() }
        await withTaskCancellationHandler {
            await task.value
        } onCancel: {
            shutdown(drain: drain)
        }
        close()
        let (failure, alarms) = server.withLock { state in
            state.hasEnded = true
            return (state.failure, state.alarms)
        }
        for alarm in alarms { alarm.cancel() }
        if let failure { throw failure }
    }

    /// Ends ``serve(drain:_:)`` in good order: stops accepting at once, lets the handlers finish for the drain time,
    /// then cancels those that are left. Does not suspend: `serve` returns when all is done.
    public func shutdown(drain: Duration = .zero) {
        let task = server.withLock { state in
            state.isShuttingDown = true
            return state.task
        }
        close()
        guard let task else { return }
        if drain <= .zero { return task.cancel() }
        let alarm = loop.callLater(drain) { task.cancel() }
        let isTooLate = server.withLock { state in
            state.alarms.append(alarm)
            return state.hasEnded
        }
        if isTooLate { alarm.cancel() }
    }

    private var isShuttingDown: Bool { server.withLock { $0.isShuttingDown } }

    /// The children live in this group; it ends when they have.
    private func acceptLoop(_ handler: @escaping @Sendable (TCPStream) async throws -> Void) async {
        let prefersLoop = !loop.isDefaultExecutor
        await withDiscardingTaskGroup { group in
            var acceptor = Acceptor(listener: self)
            while let connection = await acceptor.next() {
                if prefersLoop {
                    group.addTask(executorPreference: loop) { await self.run(handler, connection) }
                } else {
                    group.addTask { await self.run(handler, connection) }
                }
            }
            if let failure = acceptor.failure, !isShuttingDown {
                server.withLock { $0.failure = failure }
                // Connections may go on for long. Until they end nobody would hear of it, and clients would wait in a
                // queue.
                close()
                if !group.isEmpty { loop.report(failure, context: "server \(address) accepts no more") }
            }
        }
    }

    private func run(_ handler: @Sendable (TCPStream) async throws -> Void, _ connection: TCPStream) async {
        do {
            try await handler(connection)
        } catch is CancellationError {
            // The server is ending, or the handler ended itself so.
        } catch {
            loop.report(error, context: "connection \(connection.peer)")
        }
        connection.close()
    }
}

/// Accepts one connection after the other through whatever accept(2) reports.
private struct Acceptor {
    let listener: TCPListener
    /// Why accepting has ended, if not by a shutdown.
    private(set) var failure: (any Error)?
    private var failuresInARow = 0
    private var lastReport: Instant?

    init(listener: TCPListener) { self.listener = listener }

    /// The next connection; nil when there will be none.
    mutating func next() async -> TCPStream? {
        let loop = listener.loop
        while true {
            let outcome = await loop.perform(.accept(listener.handle))
            if outcome.result >= 0 {
                failuresInARow = 0
                return listener.stream(from: outcome)
            }
            failuresInARow += 1
            do {
                let code = Errno(negated: outcome.result)
                switch Self.severity(of: code) {
                case .connection where failuresInARow < 16:
                    continue
                case .connection:
                    // Not one connection but all of them: do not spin, and do not hide it.
                    report(code, "every connection fails; accepting goes on slowly")
                    try await loop.sleep(for: .milliseconds(20))
                case .exhaustion:
                    report(code, "accepting pauses until some are free")
                    try await loop.sleep(for: .milliseconds(20))
                case .listener where failuresInARow < 50:
                    // Perhaps the kernel's mood, perhaps the end: a second will tell.
                    try await loop.sleep(for: .milliseconds(20))
                case .listener:
                    throw IOError(
                        code, operation: "accept", subject: "\(listener.address)",
                        detail: "\(code); the socket does not listen any more, \(failuresInARow) tries in a second say")
                case .closed:
                    try loop.check(outcome, "accept", "\(listener.address)")
                }
            } catch {
                failure = error is CancellationError ? nil : error
                return nil
            }
        }
    }

    private enum Severity { case connection, exhaustion, listener, closed }

    /// accept(2), "Error handling": errors of the network belong to the one connection.
    private static func severity(of code: Errno) -> Severity {
        switch code {
        case .tooManyOpenFiles, .tooManyOpenFilesInSystem, .noBufferSpace, .noMemory, .noSpace: .exhaustion
        case .notSocket, .invalidArgument, .badAddress: .listener
        // Never tried again: the number may be another one's next time.
        case .badFileDescriptor, .canceled, .resourceBusy: .closed
        default: .connection
        }
    }

    /// At most once a second.
    private mutating func report(_ code: Errno, _ consequence: String) {
        let now = listener.loop.now
        if let lastReport, lastReport.duration(to: now) < .seconds(1) { return }
        lastReport = now
        let error = IOError(
            code, operation: "accept", subject: "\(listener.address)",
            detail: "\(code); \(consequence)")
        listener.loop.report(error, context: "server \(listener.address)")
    }
}
