public import AsyncIO
import AsyncIOKernel

/// The other side of a conversation, written down: what it expects and what it answers, step by step.
///
/// ```swift
/// let (client, server) = MemoryStream.pair()
/// async let peer: Void = ScriptedPeer {
///     .send("220 ready\r\n")
///     .expect("HELO me\r\n")
///     .send("250 hello\r\n")
///     .expectEnd
/// }.run(on: server)
/// ```
///
/// Runs against any `ByteStream`. What differs from the script is reported with the step, the position and the bytes
/// on both sides: ``ScriptError``.
public struct ScriptedPeer: Sendable {
    /// One step of a script.
    public enum Step: Sendable, Equatable, CustomStringConvertible {
        /// These bytes have to come next, in however many pieces.
        case expectBytes([UInt8])
        /// The other side has to finish writing here.
        case expectEnd
        /// Sends these bytes.
        case sendBytes([UInt8])
        /// Lets time pass, by the loop's clock.
        case pause(Duration)
        /// Says that nothing more will come from here, and goes on reading.
        case finishSending
        /// Closes the stream.
        case close
        /// Breaks the stream off: the other side gets `ECONNRESET`.
        case reset

        /// This text has to come next, as UTF-8.
        public static func expect(_ text: String) -> Step { .expectBytes(Array(text.utf8)) }
        /// Sends a text, as UTF-8.
        public static func send(_ text: String) -> Step { .sendBytes(Array(text.utf8)) }

        /// `expect "HELO me\r\n"`.
        public var description: String {
            switch self {
            case .expectBytes(let bytes): "expect \(readable(bytes))"
            case .expectEnd: "expect the end"
            case .sendBytes(let bytes): "send \(readable(bytes))"
            case .pause(let duration): "pause \(duration)"
            case .finishSending: "finish sending"
            case .close: "close"
            case .reset: "reset"
            }
        }
    }

    /// The steps, in order.
    public let steps: [Step]

    /// Creates a peer from its steps.
    public init(_ steps: Step...) { self.steps = steps }
    /// Creates a peer from its steps.
    public init(_ steps: [Step]) { self.steps = steps }

    /// Takes the steps on a stream, one after the other; at the end it closes the stream. As with every stream of TCP,
    /// closing one with bytes unread breaks it off: what the other side may send has to be expected.
    ///
    /// Throws ``ScriptError`` for the first step that goes differently; `CancellationError` if the task is cancelled.
    /// The stream is closed then, too.
    public func run(on stream: some ByteStream) async throws {
        defer { stream.close() }
        var position = 0
        for (index, step) in steps.enumerated() {
            do { try await take(step, stream, &position) } catch let difference as Difference {
                throw ScriptError(
                    step: index, what: step, position: difference.position, expected: difference.expected,
                    received: difference.received, cause: difference.cause)
            } catch let error as IOError {
                throw ScriptError(
                    step: index, what: step, position: position, expected: [], received: [], cause: "\(error)")
            }
        }
    }

    private func take(_ step: Step, _ stream: some ByteStream, _ position: inout Int) async throws {
        switch step {
        case .expectBytes(let expected):
            let received = try await receive(expected, stream, position)
            position += received
        case .expectEnd:
            if let bytes = try await stream.read(upTo: 64) {
                throw Difference(position: position, expected: [], received: bytes, cause: "the end should have come")
            }
        case .sendBytes(let bytes): try await stream.write(bytes)
        case .pause(let duration):
            guard let loop = EventLoop.current else { throw EventLoopError.noLoop }
            try await loop.sleep(for: duration)
        case .finishSending: try await stream.closeWriting()
        case .close: stream.close()
        case .reset: stream.abort()
        }
    }

    /// Reads no more than is expected: what comes after belongs to the next step.
    private func receive(_ expected: [UInt8], _ stream: some ByteStream, _ start: Int) async throws -> Int {
        var received: [UInt8] = []
        while received.count < expected.count {
            guard let bytes = try await stream.read(upTo: expected.count - received.count) else {
                throw Difference(
                    position: start + received.count, expected: expected, received: received, cause: "the end came")
            }
            received += bytes
            if let index = zip(received, expected).enumerated().first(where: { $0.element.0 != $0.element.1 })?.offset {
                throw Difference(position: start + index, expected: expected, received: received, cause: nil)
            }
        }
        return received.count
    }

    private struct Difference: Error {
        let position: Int
        let expected: [UInt8]
        let received: [UInt8]
        let cause: String?
    }
}

/// A conversation went differently from its script.
public struct ScriptError: Error, Hashable, Sendable, CustomStringConvertible {
    /// The step, from 0.
    public let step: Int
    /// The step, in words.
    public let what: String
    /// How many bytes of the conversation had come as expected.
    public let position: Int
    /// What the step expected.
    public let expected: [UInt8]
    /// What came instead, as far as it was read.
    public let received: [UInt8]
    /// What else was wrong: the end, an error of the stream.
    public let cause: String?

    init(step: Int, what: ScriptedPeer.Step, position: Int, expected: [UInt8], received: [UInt8], cause: String?) {
        self.step = step
        self.what = "\(what)"
        self.position = position
        self.expected = expected
        self.received = received
        self.cause = cause
    }

    /// Where it differs, and both sides.
    public var description: String {
        let place = "step \(step) (\(what)), at byte \(position) of what the script expects"
        if expected.isEmpty && received.isEmpty { return "\(place): \(cause ?? "went differently")" }
        let because = cause.map { "\($0); " } ?? ""
        return "\(place): \(because)expected \(readable(expected)), received \(readable(received))"
    }
}

/// Bytes as a text with escapes.
func readable(_ bytes: [UInt8]) -> String {
    var text = "\""
    for byte in bytes.prefix(200) {
        switch byte {
        case UInt8(ascii: "\n"): text += "\\n"
        case UInt8(ascii: "\r"): text += "\\r"
        case UInt8(ascii: "\t"): text += "\\t"
        case UInt8(ascii: "\""): text += "\\\""
        case UInt8(ascii: "\\"): text += "\\\\"
        case 0x20..<0x7f: text.unicodeScalars.append(Unicode.Scalar(byte))
        default: text += "\\x" + String(Int(byte) + 0x100, radix: 16).dropFirst()
        }
    }
    return bytes.count > 200 ? text + "\" and \(bytes.count - 200) bytes more" : text + "\""
}
