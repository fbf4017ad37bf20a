#if HTTP
import AsyncIO
import NIOWebSocket

/// Messages both ways over one connection (RFC 6455), each whole, in order.
///
/// ```swift
/// router.get("/chat") { request in
///     try .webSocket(request) { socket in
///         for try await message in socket { try await socket.send(message) }
///     }
/// }
/// ```
///
/// It lives as long as the closure that it is given to: when that returns, the two sides say good-bye. Meanwhile a task
/// of its own reads, answers pings, and asks a silent peer whether it is there. It reads no more while a message waits
/// for its reader: backpressure. Every method may be called from any thread, and by several tasks.
public final class WebSocket: Sendable, CustomStringConvertible {
    /// What was agreed to be spoken over it.
    public let subprotocol: String?
    let stream: any ByteStream
    let loop: EventLoop
    let role: WebSocketRole
    let options: WebSocketOptions
    let deflater: MessageDeflater?
    let incoming = AsyncQueue<WebSocketMessage>(capacity: 1, name: "websocket messages")
    /// Frames go out one at a time; a message in parts has the turn for all of them.
    private let turn = AsyncLock(name: "websocket")
    private let writer: WebSocketFrameWriter
    let state: Locked<State>

    /// How far its end has come.
    struct State: Sendable {
        /// What we have told the peer at the end.
        var hasSentClose = false
        /// Why it ended, once it has.
        var ending: WebSocketError?
        /// Whether a write was broken off, so that the peer may have half a frame.
        var isBroken = false
        /// Whether the reader waits for the peer, not for our own.
        var isListening = true
        /// When the peer was heard of at last.
        var heard: Instant
        /// Who waits for an answer to a ping, by what it carried.
        var pings: [[UInt8]: Promise<Void>.Resolver] = [:]
        var pingCount: UInt64 = 0
    }

    init(
        over stream: any ByteStream, on loop: EventLoop, _ role: WebSocketRole, _ options: WebSocketOptions,
        subprotocol: String?, deflater: MessageDeflater?
    ) {
        self.stream = stream
        self.loop = loop
        self.role = role
        self.options = options
        self.subprotocol = subprotocol
        self.deflater = deflater
        writer = WebSocketFrameWriter(role: role)
        state = Locked(State(heard: loop.now))
    }

    /// Why it ended: nil while it lives.
    public var ending: WebSocketError? { state.withLock { $0.ending } }

    /// `WebSocket(server, open)`.
    public var description: String { "WebSocket(\(role), \(ending.map(\.description) ?? "open"))" }

    // MARK: Sending

    /// Sends a message, and suspends while the peer does not take it.
    ///
    /// A cancelled task gets `CancellationError`: before anything was sent, or, in the middle of a frame, for the price
    /// of the connection. Throws ``WebSocketError`` once it is closed, and ``IOError`` if the peer has gone.
    public func send(_ message: WebSocketMessage) async throws {
        switch message {
        case .text(let text): try await send(.text, Array(text.utf8))
        case .binary(let bytes): try await send(.binary, bytes)
        }
    }

    /// Sends a text. As ``send(_:)-(WebSocketMessage)``.
    public func send(_ text: String) async throws { try await send(.text, Array(text.utf8)) }

    /// Sends bytes. As ``send(_:)-(WebSocketMessage)``.
    public func send(_ bytes: [UInt8]) async throws { try await send(.binary, bytes) }

    private func send(_ opcode: WebSocketOpcode, _ payload: [UInt8]) async throws {
        try await turn.withLock {
            // Packing has a state, so it belongs to the turn.
            if let deflater, payload.count >= deflater.threshold {
                try await write(writer.frame(opcode, isPacked: true, try deflater.pack(payload)))
            } else {
                try await write(writer.frame(opcode, payload))
            }
        }
    }

    /// Sends one message in parts, as they come: its receiver gets it whole, its sender needs not have it whole.
    ///
    /// A text's parts may end within a character. If the sequence throws, the message cannot be ended rightly: the
    /// WebSocket is closed with 1011. As ``send(_:)-(WebSocketMessage)`` otherwise.
    public func send<Parts: AsyncSequence>(parts: Parts, asText isText: Bool = false) async throws
    where Parts.Element == [UInt8] {
        try await turn.withLock {
            var opcode: WebSocketOpcode = isText ? .text : .binary
            do {
                for try await part in parts where !part.isEmpty {
                    try await write(writer.frame(opcode, isLast: false, part))
                    opcode = .continuation
                }
                try await write(writer.frame(opcode, []))
            } catch {
                if opcode == .continuation { state.withLock { $0.isBroken = true } }
                throw error
            }
        }
    }

    /// Asks the peer whether it is there, and returns how long its answer took.
    ///
    /// Throws ``TimeoutError`` after `WebSocketOptions.pongTimeout`; otherwise as ``send(_:)-(WebSocketMessage)``.
    @discardableResult
    public func ping() async throws -> Duration {
        let (promise, resolver) = Promise<Void>.make(name: "pong")
        let payload = state.withLock { state -> [UInt8] in
            state.pingCount += 1
            let payload = Array("\(state.pingCount)".utf8)
            state.pings[payload] = resolver
            return payload
        }
        defer { state.withLock { _ = $0.pings.removeValue(forKey: payload) } }
        let start = loop.now
        try await turn.withLock { try await write(writer.frame(.ping, payload)) }
        try await withTimeout(options.pongTimeout) { try await promise.value }
        return start.duration(to: loop.now)
    }

    /// Answers a ping.
    func pong(_ payload: [UInt8]) async throws {
        try await turn.withLock { try await write(writer.frame(.pong, payload)) }
    }

    /// Says good-bye, with a reason of at most 123 bytes; what is longer is cut. Nothing can be sent behind it.
    ///
    /// Does not wait for the peer's own good-bye: the end of the WebSocket's scope does. Calling it again does nothing.
    /// Throws ``IOError`` if the peer has gone.
    public func close(_ code: WebSocketCloseCode = .normal, _ reason: String = "") async throws {
        try await turn.withLock {
            let mayClose = state.withLock { state in
                guard !state.hasSentClose, !state.isBroken else { return false }
                state.hasSentClose = true
                return true
            }
            guard mayClose else { return }
            let frame = writer.frame(.connectionClose, WebSocketFrameWriter.closing(code, reason))
            try await writeWhole(frame)
        }
    }

    private func write(_ frame: [UInt8]) async throws {
        let failure = state.withLock { state -> WebSocketError? in
            if let ending = state.ending { return ending }
            if state.hasSentClose { return WebSocketError(.normal, "this side has closed it") }
            return state.isBroken ? WebSocketError(.abnormal, "a message was broken off") : nil
        }
        if let failure { throw failure }
        try await writeWhole(frame)
    }

    /// A frame of which a part has been sent cannot be followed by anything.
    private func writeWhole(_ frame: [UInt8]) async throws {
        do {
            try await stream.write(frame)
        } catch {
            state.withLock { $0.isBroken = true }
            throw error
        }
    }
}

extension WebSocket: AsyncSequence {
    /// Whole messages.
    public typealias Element = WebSocketMessage

    /// Reads messages.
    public struct AsyncIterator: AsyncIteratorProtocol {
        let socket: WebSocket

        /// The next message; nil when the WebSocket was closed in good order.
        ///
        /// Suspends until there is one. A cancelled task gets `CancellationError`, and no message is lost. Throws
        /// ``WebSocketError`` if it was closed for a failure, or ended without a word.
        public mutating func next() async throws -> WebSocketMessage? {
            if let message = try await socket.incoming.next() { return message }
            guard let ending = socket.ending else { return nil }
            switch ending.code {
            case .normal, .goingAway, .none: return nil
            default: throw ending
            }
        }
    }

    /// Several that read share the messages among them.
    public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(socket: self) }
}
#endif
