#if HTTP
import AsyncIO
import NIOWebSocket

/// What comes to its end within a WebSocket.
private enum End<Success: Sendable>: Sendable {
    case body(Result<Success, any Error>)
    case reader
    case helper
    case tooLate
}

/// The life of a WebSocket: its body, its reader, and who asks whether the peer is still there.
struct WebSocketSession: Sendable {
    let socket: WebSocket
    private let inflater: MessageInflater?

    init(
        over stream: any ByteStream, _ role: WebSocketRole, _ options: WebSocketOptions, _ agreement: WebSocketAgreement
    ) throws {
        guard let loop = EventLoop.current else { throw EventLoopError.noLoop }
        socket = WebSocket(
            over: stream, on: loop, role, options, subprotocol: agreement.subprotocol,
            deflater: agreement.deflater(role, options))
        inflater = agreement.inflater(role)
    }

    /// Runs the body, and ends the WebSocket after it: with 1000, or with 1011 if it throws.
    ///
    /// If the peer closes, the body finds the end of its messages, and has ``WebSocketOptions/closeTimeout`` for its
    /// own end before it is cancelled. If the connection breaks, it is cancelled at once.
    func run<Success: Sendable>(
        _ body: @escaping @Sendable (WebSocket) async throws -> Success
    ) async throws -> Success {
        defer { socket.stream.close() }
        let result = await withTaskGroup(of: End<Success>.self) { group in
            group.addTask(name: "websocket") {
                do {
                    return .body(.success(try await body(socket)))
                } catch {
                    return .body(.failure(error))
                }
            }
            group.addTask(name: "websocket reader") {
                await read()
                return .reader
            }
            group.addTask(name: "websocket pongs") {
                await socket.sendPongs()
                return .helper
            }
            if let interval = socket.options.pingInterval {
                group.addTask(name: "websocket keep-alive") {
                    await keepAlive(every: interval)
                    return .helper
                }
            }
            return await settle(&group)
        }
        return try result.get()
    }

    /// Waits for the body and the reader, whichever comes first, and gives the other one its time.
    private func settle<Success>(_ group: inout TaskGroup<End<Success>>) async -> Result<Success, any Error> {
        var result: Result<Success, any Error>?
        var hasRead = false
        while result == nil || !hasRead, let end = await group.next() {
            switch end {
            case .body(let ended):
                result = ended
                // What nobody has read holds the reader up no more: it reads on for the peer's good-bye.
                socket.incoming.cancel()
                guard !hasRead else { break }
                // Who is cancelled does not wait for good-byes.
                if case .failure(let error) = ended, error is CancellationError {
                    socket.stream.abort()
                } else {
                    await sayGoodBye(isGood(ended) ? .normal : .internalError)
                    addDeadline(&group)
                }
            case .reader:
                hasRead = true
                guard result == nil else { break }
                if socket.ending?.code == .abnormal { group.cancelAll() } else { addDeadline(&group) }
            case .helper:
                break
            case .tooLate:
                // The body, if that is what did not come, or the peer.
                if result == nil { group.cancelAll() } else { socket.stream.abort() }
            }
        }
        group.cancelAll()
        return result ?? .failure(CancellationError())
    }

    /// A message that was begun and never ended is not.
    private func isGood<Success>(_ result: Result<Success, any Error>) -> Bool {
        guard case .success = result else { return false }
        return !socket.state.withLock { $0.isWithinMessage }
    }

    private func addDeadline<Success>(_ group: inout TaskGroup<End<Success>>) {
        let timeout = socket.options.closeTimeout
        group.addTask(name: "websocket close") {
            try? await Task.sleep(for: timeout, clock: socket.loop.clock)
            return .tooLate
        }
    }

    private func sayGoodBye(_ code: WebSocketCloseCode) async {
        // A peer that has gone hears nothing; a peer that takes nothing is broken off by the deadline.
        do {
            try await withTimeout(socket.options.closeTimeout) { try await socket.close(code) }
        } catch {
            socket.stream.abort()
        }
    }

    // MARK: Reading

    /// Reads until the peer says good-bye, breaks the rules, or goes.
    private func read() async {
        let decoder = WebSocketFrameReader(limit: socket.options.messageSize)
        var machine = WebSocketMachine(role: socket.role, limit: socket.options.messageSize, inflater: inflater)
        defer { decoder.finish() }
        do {
            while let bytes = try await socket.stream.read(upTo: 16 << 10) {
                socket.state.withLock { [now = socket.loop.now] in $0.heard = now }
                for frame in try decoder.frames(in: bytes) {
                    guard let event = try machine.receive(frame) else { continue }
                    if try await take(event) { return }
                }
                // What is wrong behind the last good frame does not wait for more.
                if let failure = decoder.failure { throw failure }
            }
            socket.end(WebSocketError(.abnormal, "the connection ended without a close frame", isByPeer: true))
        } catch let error as WebSocketError {
            socket.end(error)
            await refuse(error)
        } catch {
            socket.end(WebSocketError(.abnormal, "\(error)", isByPeer: true))
        }
    }

    /// Tells the peer what is wrong. A connection that is closed with bytes unread is reset, which may overtake the
    /// good-bye: so what still comes is read for a while, and dropped.
    private func refuse(_ error: WebSocketError) async {
        do {
            try await withTimeout(socket.options.closeTimeout) { try await socket.close(error.code, error.reason) }
            try await socket.stream.closeWriting()
            try await withTimeout(.seconds(2)) { while try await socket.stream.read(upTo: 16 << 10) != nil {} }
        } catch {
            // It has gone, or goes on and on: the connection is closed next.
        }
    }

    /// True at the end.
    private func take(_ event: WebSocketMachine.Event) async throws -> Bool {
        switch event {
        case .message(let message):
            // Behind the body's end nobody reads any more; the peer's good-bye is still to come.
            if socket.incoming.isClosed { return false }
            socket.state.withLock { $0.isListening = false }
            defer {
                socket.state.withLock { [now = socket.loop.now] in
                    $0.isListening = true
                    $0.heard = now
                }
            }
            do { try await socket.incoming.put(message) } catch is ClosedError {}
            return false
        case .ping(let payload):
            socket.pong(payload)
            return false
        case .pong(let payload):
            socket.state.withLock { $0.pings.removeValue(forKey: payload) }?.fulfil()
            return false
        case .close(let code, let reason):
            socket.end(WebSocketError(code, reason, isByPeer: true))
            try? await withTimeout(socket.options.closeTimeout) {
                try await socket.close(code.maySend ? code : .normal)
            }
            return true
        }
    }

    // MARK: Keeping alive

    /// Asks a peer that says nothing, and breaks the connection off if it does not answer.
    private func keepAlive(every interval: Duration) async {
        while !Task.isCancelled {
            guard (try? await Task.sleep(for: interval, clock: socket.loop.clock)) != nil else { return }
            let state = socket.state.withLock { $0 }
            // While our own side does not take a message, the peer cannot be heard.
            guard state.isListening, state.heard.duration(to: socket.loop.now) >= interval, state.ending == nil else {
                continue
            }
            let asked = socket.loop.now
            do {
                try await socket.ping()
            } catch is TimeoutError {
                // Whoever was heard of since, or is not listened to, has not failed.
                let state = socket.state.withLock { $0 }
                if !state.isListening || state.heard > asked, !state.isBroken { continue }
                socket.end(WebSocketError(.abnormal, "no answer to a ping within \(socket.options.pongTimeout)"))
                socket.stream.abort()
                return
            } catch {
                return
            }
        }
    }
}
#endif
