#if HTTP
import AsyncIO
import HTTPTypes

/// Takes a stream of events apart, wherever it is cut (section 9.2.6 of the HTML standard).
struct EventParser {
    /// The most bytes of one event.
    let limit: Int
    private var line: [UInt8] = []
    private var data: [[UInt8]] = []
    private var size = 0
    private var event: String?
    private var retry: Duration?
    /// The id stays until there is another one.
    private(set) var lastID: String?
    private var sawCarriageReturn = false
    private var isFirstLine = true

    init(limit: Int) { self.limit = limit }

    /// The events that end within these bytes. Throws ``HTTPError`` for an event that is too large.
    mutating func feed(_ bytes: [UInt8]) throws -> [ServerSentEvent] {
        var events: [ServerSentEvent] = []
        for byte in bytes {
            if byte == UInt8(ascii: "\n"), sawCarriageReturn {
                sawCarriageReturn = false
                continue
            }
            sawCarriageReturn = byte == UInt8(ascii: "\r")
            guard sawCarriageReturn || byte == UInt8(ascii: "\n") else {
                guard size + line.count < limit else { throw HTTPError.contentTooLarge(limit: limit) }
                line.append(byte)
                continue
            }
            if let event = endLine() { events.append(event) }
        }
        return events
    }

    private mutating func endLine() -> ServerSentEvent? {
        if isFirstLine {
            isFirstLine = false
            if line.starts(with: [0xef, 0xbb, 0xbf]) { line.removeFirst(3) }
        }
        guard !line.isEmpty else { return dispatch() }
        defer { line.removeAll(keepingCapacity: true) }
        let colon = line.firstIndex(of: UInt8(ascii: ":")) ?? line.endIndex
        var value = line[min(colon + 1, line.endIndex)...]
        if value.first == UInt8(ascii: " ") { value.removeFirst() }
        switch String(decoding: line[..<colon], as: UTF8.self) {
        case "data":
            data.append(Array(value))
            size += line.count
        case "event":
            event = value.isEmpty ? nil : String(decoding: value, as: UTF8.self)
        case "id":
            if !value.contains(0) { lastID = String(decoding: value, as: UTF8.self) }
        case "retry":
            guard !value.isEmpty, value.allSatisfy({ UInt8(ascii: "0")...UInt8(ascii: "9") ~= $0 }) else { break }
            retry = Int64(String(decoding: value, as: UTF8.self)).map { .milliseconds($0) }
        default:
            // A comment, or something newer.
            break
        }
        return nil
    }

    private mutating func dispatch() -> ServerSentEvent? {
        defer {
            data = []
            size = 0
            event = nil
            retry = nil
        }
        guard !data.isEmpty else { return nil }
        let text = String(decoding: Array(data.joined(separator: [UInt8(ascii: "\n")])), as: UTF8.self)
        return ServerSentEvent(text, event: event, id: lastID, retry: retry)
    }
}

/// The events of a body: see ``HTTPBody/events(upTo:)``.
public struct ServerSentEvents: AsyncSequence, Sendable {
    let body: HTTPBody
    let limit: Int

    /// Reads from where the body's reader has come to.
    public func makeAsyncIterator() -> AsyncIterator {
        AsyncIterator(pieces: body.makeAsyncIterator(), parser: EventParser(limit: limit))
    }

    /// Reads one event after the other.
    public struct AsyncIterator: AsyncIteratorProtocol {
        var pieces: HTTPBody.AsyncIterator
        var parser: EventParser
        private var ready: ArraySlice<ServerSentEvent> = []

        init(pieces: HTTPBody.AsyncIterator, parser: EventParser) {
            self.pieces = pieces
            self.parser = parser
        }

        /// The next event; nil when the server has ended. What had begun then is no event. Throws as reading the body
        /// does, and ``HTTPError`` for an event that is too large.
        public mutating func next() async throws -> ServerSentEvent? {
            while true {
                if let event = ready.popFirst() { return event }
                guard let piece = try await pieces.next() else { return nil }
                ready = try parser.feed(piece)[...]
            }
        }
    }
}

extension HTTPBody {
    /// The events that a server sends, each of at most so many bytes.
    public func events(upTo limit: Int = 1 << 20) -> ServerSentEvents { ServerSentEvents(body: self, limit: limit) }
}
#endif
