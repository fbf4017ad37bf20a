#if HTTP
import NIOCore
import NIOWebSocket

/// What frames mean: puts messages together, and holds the peer to the rules of RFC 6455 and RFC 7692. No input or
/// output of its own.
struct WebSocketMachine {
    /// What a frame brought.
    enum Event: Equatable {
        case message(WebSocketMessage)
        case ping([UInt8])
        case pong([UInt8])
        case close(WebSocketCloseCode, String)
    }

    let role: WebSocketRole
    /// The most bytes of a message.
    let limit: Int
    /// What unpacks messages, if that was agreed.
    private let inflater: MessageInflater?

    /// The message that has begun.
    private var begun: Begun?
    private var bytes: [UInt8] = []
    private var validator = UTF8Validator()

    private struct Begun {
        let isText: Bool
        let isPacked: Bool
    }

    init(role: WebSocketRole, limit: Int, inflater: MessageInflater? = nil) {
        self.role = role
        self.limit = limit
        self.inflater = inflater
    }

    /// Takes the next frame; nil if it is a part of something.
    mutating func receive(_ frame: WebSocketFrame) throws(WebSocketError) -> Event? {
        guard (frame.maskKey != nil) == (role == .server) else {
            throw broken(role == .server ? "a client's frame without a mask" : "a server's frame with a mask")
        }
        guard !frame.rsv2, !frame.rsv3 else { throw broken("a reserved bit is set") }
        let payload = frame.unmaskedBytes
        switch frame.opcode {
        case .text, .binary:
            guard begun == nil else { throw broken("a message within a message") }
            guard !frame.rsv1 || inflater != nil else { throw broken("a packed message, which was not agreed") }
            begun = Begun(isText: frame.opcode == .text, isPacked: frame.rsv1)
            return try add(payload, isLast: frame.fin)
        case .continuation:
            guard begun != nil else { throw broken("a message that goes on without having begun") }
            guard !frame.rsv1 else { throw broken("a reserved bit is set") }
            return try add(payload, isLast: frame.fin)
        case .ping, .pong, .connectionClose:
            // The decoder has refused control frames that are long or in parts.
            guard !frame.rsv1 else { throw broken("a packed control frame") }
            if frame.opcode == .connectionClose { return try closing(payload) }
            return frame.opcode == .ping ? .ping(payload) : .pong(payload)
        default:
            throw broken("a frame of an unknown kind, \(frame.opcode)")
        }
    }

    private mutating func add(_ payload: [UInt8], isLast: Bool) throws(WebSocketError) -> Event? {
        guard let begun else { return nil }
        if begun.isPacked, let inflater {
            try inflater.unpack(payload, isLast: isLast, into: &bytes, limit: limit)
        } else {
            guard payload.count <= limit - bytes.count else { throw tooBig() }
            if bytes.isEmpty { bytes = payload } else { bytes += payload }
            // Fast, where the message is whole: the text is checked when it is made.
            if begun.isText, !isLast || validator.isWithinCharacter || bytes.count > payload.count {
                guard validator.accept(payload) else { throw notUTF8() }
                guard !isLast || !validator.isWithinCharacter else { throw notUTF8() }
            }
        }
        guard isLast else { return nil }
        let whole = bytes
        bytes = []
        validator = UTF8Validator()
        self.begun = nil
        guard begun.isText else { return .message(.binary(whole)) }
        guard let text = String(validating: whole, as: UTF8.self) else { throw notUTF8() }
        return .message(.text(text))
    }

    /// A close frame: nothing, or a code and a reason in UTF-8.
    private func closing(_ payload: [UInt8]) throws(WebSocketError) -> Event {
        guard !payload.isEmpty else { return .close(.none, "") }
        guard payload.count >= 2 else { throw broken("a close frame with half a code") }
        let code = WebSocketCloseCode(rawValue: UInt16(payload[0]) << 8 | UInt16(payload[1]))
        guard code.maySend else { throw broken("the close code \(code)") }
        guard let reason = String(validating: payload[2...], as: UTF8.self) else { throw notUTF8() }
        return .close(code, reason)
    }

    private func broken(_ what: String) -> WebSocketError { WebSocketError(.protocolError, what) }
    private func tooBig() -> WebSocketError { .tooBig(limit) }
    private func notUTF8() -> WebSocketError { WebSocketError(.invalidPayload, "a text that is not UTF-8") }
}

extension WebSocketError {
    static func tooBig(_ limit: Int) -> WebSocketError {
        WebSocketError(.messageTooBig, "a message of more than \(limit) bytes")
    }
}

/// Which side of a WebSocket: clients mask what they send, servers do not.
enum WebSocketRole: Sendable {
    case client
    case server
}

extension WebSocketFrame {
    /// The payload as it was before it was masked (RFC 6455 section 5.3).
    var unmaskedBytes: [UInt8] {
        var bytes = Array(data.readableBytesView)
        if let maskKey { WebSocketMask(maskKey).apply(to: &bytes) }
        return bytes
    }
}

/// Four bytes that a client's payload is combined with.
struct WebSocketMask {
    private let key: (UInt8, UInt8, UInt8, UInt8)

    init(_ key: WebSocketMaskingKey) { self.key = (key[0], key[1], key[2], key[3]) }

    /// Masks and unmasks, eight bytes at a time.
    func apply(to bytes: inout [UInt8]) {
        let halves = [key.0, key.1, key.2, key.3, key.0, key.1, key.2, key.3]
        unsafe bytes.withUnsafeMutableBytes { bytes in
            unsafe halves.withUnsafeBytes { halves in
                // Eight bytes stand in the array.
                let word = unsafe halves.loadUnaligned(as: UInt64.self)
                var index = 0
                while index + 8 <= bytes.count {
                    let masked = unsafe bytes.loadUnaligned(fromByteOffset: index, as: UInt64.self) ^ word
                    unsafe bytes.storeBytes(of: masked, toByteOffset: index, as: UInt64.self)
                    index += 8
                }
                for rest in index..<bytes.count { unsafe bytes[rest] ^= halves[rest & 3] }
            }
        }
    }
}
#endif
