#if HTTP
/// An event that a server sends to those who listen (server-sent events, of the HTML standard).
public struct ServerSentEvent: Sendable, Hashable {
    /// What it says: text, of as many lines as you like.
    public var data: String
    /// Its kind; `message` for browsers, if there is none.
    public var event: String?
    /// Where a client has come to, when it connects again: `Last-Event-ID`.
    public var id: String?
    /// How long a client is to wait before it connects again.
    public var retry: Duration?

    /// An event from its parts.
    public init(_ data: String, event: String? = nil, id: String? = nil, retry: Duration? = nil) {
        self.data = data
        self.event = event
        self.id = id
        self.retry = retry
    }

    /// As it is sent. Lines of the data become lines of their own; nil if the kind or the id have line ends, or the id
    /// a zero, which would say something else.
    var encoded: String? {
        var lines: [String] = []
        if let event {
            guard !event.utf8.contains(where: Self.endsLine) else { return nil }
            lines.append("event: \(event)")
        }
        if let id {
            guard !id.utf8.contains(where: { Self.endsLine($0) || $0 == 0 }) else { return nil }
            lines.append("id: \(id)")
        }
        if let retry {
            let (seconds, attoseconds) = retry.components
            let milliseconds = max(seconds, 0).multipliedReportingOverflow(by: 1_000)
            let count = milliseconds.overflow ? .max : milliseconds.partialValue
            lines.append("retry: \(count.addingReportingOverflow(attoseconds / 1_000_000_000_000_000).partialValue)")
        }
        lines += Self.lines(data).map { "data: \($0)" }
        return lines.joined(separator: "\n") + "\n\n"
    }

    /// A comment, which nobody sees, as it is sent.
    static func comment(_ text: String) -> String { lines(text).map { ": \($0)\n" }.joined() + "\n" }

    private static func endsLine(_ byte: UInt8) -> Bool { byte == UInt8(ascii: "\n") || byte == UInt8(ascii: "\r") }

    /// CR LF, CR and LF all end a line.
    private static func lines(_ text: String) -> [String] {
        var lines: [[UInt8]] = [[]]
        var last: UInt8 = 0
        for byte in text.utf8 {
            if endsLine(byte) {
                if !(byte == UInt8(ascii: "\n") && last == UInt8(ascii: "\r")) { lines.append([]) }
            } else {
                lines[lines.count - 1].append(byte)
            }
            last = byte
        }
        return lines.map { String(decoding: $0, as: UTF8.self) }
    }
}
#endif
