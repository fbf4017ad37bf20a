extension TraceRecording {
    /// The recording for ui.perfetto.dev and other readers of Chrome's trace events, as one text.
    public func chromeJSON() -> String { Self.text { try writeChromeJSON(to: $0) } }

    /// The recording as a page of HTML, complete in itself, as one text.
    public func html(title: String? = nil) -> String { Self.text { try writeHTML(title: title, to: $0) } }

    /// Writes what ``chromeJSON()`` returns, in pieces of some 64 KiB. Throws what the sink throws.
    public func writeChromeJSON(to sink: @escaping ([UInt8]) throws -> Void) throws {
        try ChromeTrace.write(self, to: sink)
    }

    /// Writes what ``html(title:)`` returns, in pieces of some 64 KiB. Throws what the sink throws.
    public func writeHTML(title: String? = nil, to sink: @escaping ([UInt8]) throws -> Void) throws {
        try TracePage.write(self, title: title, to: sink)
    }

    private static func text(_ write: (@escaping ([UInt8]) throws -> Void) throws -> Void) -> String {
        let pieces = Pieces()
        // The sink does not throw, and nothing else does.
        try? write { pieces.bytes += $0 }
        return String(decoding: pieces.bytes, as: UTF8.self)
    }

    private final class Pieces { var bytes: [UInt8] = [] }
}
