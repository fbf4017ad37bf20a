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
    /// One message at a time, with all of its parts, and with the state of what packs it.
    private let messages = AsyncLock(name: "websocket messages")
    /// Frames go out one at a time. Control frames take this alone: they may stand between the parts of a message.
    private let turn = AsyncLock(name: "websocket")
    /// Says that there is a ping to be answered.
    let pongWanted = AsyncQueue<Void>(capacity: 1, name: "websocket pongs")
    private let writer: WebSocketFrameWriter
    let state: Locked<State>

    /// How far its end has come.
    struct State: Sendable {
        /// What we have told the peer at the end.
        var hasSentClose = false
        /// Why it ended, once it has.
        var ending: WebSocketError?
        /// Whether a write was broken off, so that the peer may have half a frame: nothing can follow.
        var isBroken = false
        /// Whether a message in parts was broken off between two of them: no other message can follow.
        var isWithinMessage = false
        /// What the latest ping carried that was not answered yet (RFC 6455 section 5.5.3).
        var pong: [UInt8]?
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

    /// Sends a message, and suspends while the peer does not take it. More than 64 KiB go out as several frames,
    /// between which a ping can be answered.
    ///
    /// A cancelled task gets `CancellationError`: before anything was sent, or, in the middle of a message, for the
    /// price of the WebSocket, and in the middle of a frame for that of the connection. Throws ``WebSocketError`` once
    /// it is closed, and ``IOError`` if the peer has gone. A peer that takes less than 64 KiB within
    /// `WebSocketOptions.pongTimeout` is broken off.
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
        try await messages.withLock {
            if let deflater, payload.count >= deflater.threshold {
                try await write(opcode, isPacked: true, try deflater.pack(payload))
            } else {
                try await write(opcode, isPacked: false, payload)
            }
        }
    }

    /// Sends a message or a part of one, in frames that are soon sent: a pong does not wait for the end of a long one.
    private func write(
        _ opcode: WebSocketOpcode, isPacked: Bool = false, endsMessage: Bool = true, _ payload: [UInt8]
    ) async throws {
        guard payload.count > Self.frameSize else {
            return try await write(writer.frame(opcode, isLast: endsMessage, isPacked: isPacked, payload))
        }
        var rest = payload[...]
        do {
            while !rest.isEmpty {
                let isFirst = rest.count == payload.count
                let frame = writer.frame(
                    isFirst ? opcode : .continuation, isLast: endsMessage && rest.count <= Self.frameSize,
                    isPacked: isPacked && isFirst, Array(rest.prefix(Self.frameSize)))
                try await write(frame)
                rest = rest.dropFirst(Self.frameSize)
            }
        } catch {
            if rest.count < payload.count { state.withLock { $0.isWithinMessage = true } }
            throw error
        }
    }

    /// Sends one message in parts, as they come: its receiver gets it whole, its sender needs not have it whole.
    ///
    /// A text's parts may end within a character. If the sequence throws, the message cannot be ended rightly: no other
    /// can be sent, and the WebSocket is closed with 1011 at the end of its scope. As
    /// ``send(_:)-(WebSocketMessage)`` otherwise.
    public func send<Parts: AsyncSequence>(parts: Parts, asText isText: Bool = false) async throws
    where Parts.Element == [UInt8] {
        try await messages.withLock {
            var opcode: WebSocketOpcode = isText ? .text : .binary
            do {
                for try await part in parts where !part.isEmpty {
                    try await write(opcode, endsMessage: false, part)
                    opcode = .continuation
                }
                try await write(opcode, [])
            } catch {
                if opcode == .continuation { state.withLock { $0.isWithinMessage = true } }
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
        try await withTimeout(options.pongTimeout) {
            try await write(writer.frame(.ping, payload))
            try await promise.value
        }
        return start.duration(to: loop.now)
    }

    /// Answers a ping, soon: whoever reads does not wait for whoever writes. Of several, the latest alone is answered.
    func pong(_ payload: [UInt8]) {
        state.withLock { $0.pong = payload }
        _ = pongWanted.tryPut(())
    }

    /// Sends the answers to pings, until the task is cancelled or nothing can be sent any more.
    func sendPongs() async {
        do {
            while try await pongWanted.next() != nil {
                guard let payload = state.withLock({ $0.pong.take() }) else { continue }
                try await write(writer.frame(.pong, payload))
            }
        } catch {
            // The end is told to whoever reads and to whoever sends; behind our good-bye, no answer is due.
        }
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
        let isControl = frame[0] & 0x08 != 0
        try await turn.withLock {
            let failure = state.withLock { state -> WebSocketError? in
                if let ending = state.ending { return ending }
                if state.hasSentClose { return WebSocketError(.normal, "this side has closed it") }
                let isBroken = state.isBroken || state.isWithinMessage && !isControl
                return isBroken ? WebSocketError(.abnormal, "a message was broken off") : nil
            }
            if let failure { throw failure }
            try await writeWhole(frame)
        }
    }

    /// Writes a frame, and has patience for it. A frame of which a part has been sent cannot be followed by anything:
    /// without the rest, the connection is broken off.
    private func writeWhole(_ frame: [UInt8]) async throws {
        do {
            try await withTimeout(options.pongTimeout) { try await stream.write(frame) }
        } catch {
            state.withLock { $0.isBroken = true }
            defer { stream.abort() }
            guard error is TimeoutError else { throw error }
            let ending = WebSocketError(.abnormal, "the peer took nothing within \(options.pongTimeout)")
            end(ending)
            throw ending
        }
    }

    /// The most bytes of a message that are in one frame: with its head, that is 64 KiB.
    private static let frameSize = (64 << 10) - 14

    /// Ends it for all who wait; what has ended it first counts.
    func end(_ error: WebSocketError) {
        let (ending, pings) = state.withLock { state in
            let ending = state.ending ?? error
            state.ending = ending
            defer { state.pings = [:] }
            return (ending, state.pings)
        }
        for ping in pings.values { ping.fail(ending) }
        incoming.finish()
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
            do {
                if let message = try await socket.incoming.next() { return message }
            } catch is ClosedError {
                // The WebSocket's scope has ended.
            }
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
