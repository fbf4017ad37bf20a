#if HTTP
import AsyncIO
public import HTTPTypes

/// The parts of a form that comes as `multipart/form-data` (RFC 7578), one after the other, as they come.
///
/// ```swift
/// for try await part in try request.multipart() {
///     if let name = part.safeFileName {
///         try await save(part.body, as: name)
///     } else {
///         fields[part.name] = try await part.body.text(upTo: 10_000)
///     }
/// }
/// ```
///
/// Nothing is kept: a part's content is read while it comes, and what is not read of it is skipped when the next part
/// is asked for. The limits hold in any case. One task reads: a second one gets ``IOError`` with `EBUSY`.
public struct Multipart: AsyncSequence, Sendable {
    private let reader: MultipartReader

    /// The parts of a body with this boundary. Throws ``HTTPError`` (400) for a boundary that may not be one.
    public init(_ body: HTTPBody, boundary: String, limits: MultipartLimits = MultipartLimits()) throws(HTTPError) {
        reader = MultipartReader(body, try MultipartParser(boundary: boundary, limits: limits))
    }

    /// Reads from where the reader has come to.
    public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(reader: reader) }

    /// Reads one part after the other.
    public struct AsyncIterator: AsyncIteratorProtocol {
        let reader: MultipartReader

        /// The next part; nil behind the last one. Suspends until its head has come.
        ///
        /// Throws ``HTTPError``: 400 for what is malformed, and for a body that ends too early; 413 for a limit; and as
        /// reading the body does.
        public mutating func next() async throws -> FormPart? { try await reader.nextPart() }
    }
}

/// A part of a form.
public struct FormPart: Sendable {
    /// The field that it belongs to.
    public let name: String
    /// The name that a file has where it comes from, as it was sent: it may be anything, ways out of a folder as well.
    /// Nil for what is no file.
    public let fileName: String?
    /// What is said of the part.
    public let headerFields: HTTPFields
    /// Its content. It can be read once, until the next part is asked for.
    public let body: HTTPBody

    /// The file's name, without everything that could mean something to a file system: what stands behind the last
    /// slash or backslash, without control characters and the dots in front, at most 255 bytes. Nil if nothing is left.
    public var safeFileName: String? { fileName.flatMap(Self.safe) }

    static func safe(_ fileName: String) -> String? {
        let last = fileName.unicodeScalars.split { $0 == "/" || $0 == "\\" }.last ?? []
        var name = ""
        for scalar in last.drop(while: { $0 == "." || $0 == " " }) {
            guard scalar.value >= 0x20, !(0x7f...0x9f).contains(scalar.value),
                !(0x202a...0x202e).contains(scalar.value), !(0x2066...0x2069).contains(scalar.value)
            else { continue }
            guard name.utf8.count + String(scalar).utf8.count <= 255 else { break }
            name.unicodeScalars.append(scalar)
        }
        while name.last == " " || name.last == "." { name.removeLast() }
        // Taking characters away may have brought a dot to the front, and a combining mark may be joined to it.
        let clean = name.unicodeScalars.drop { $0 == "." || $0 == " " }
        return clean.isEmpty ? nil : String(clean)
    }

    init(_ fields: HTTPFields, body: HTTPBody) throws(HTTPError) {
        guard let text = fields[.contentDisposition], let disposition = MediaType(text),
            disposition.name == "form-data", let name = disposition.parameters["name"]
        else { throw HTTPError(.badRequest, "a part of a form begins with Content-Disposition: form-data; name=\"…\"") }
        self.name = name
        fileName = disposition.parameters["filename"]
        headerFields = fields
        self.body = body
    }
}

/// Reads a multipart body for one task, which has one part at a time.
///
/// Whatever changes is touched by whoever has the turn.
final class MultipartReader: @unchecked Sendable {
    private let turn = ReadingTurn("form")
    private var pieces: HTTPBody.AsyncIterator
    private var parser: MultipartParser
    /// Counts the parts: who has the content of another one gets nothing any more.
    private var part = 0
    private var isInPart = false
    private var hasEnded = false

    init(_ body: HTTPBody, _ parser: MultipartParser) {
        pieces = body.makeAsyncIterator()
        self.parser = parser
    }

    func nextPart() async throws -> FormPart? {
        try await turn.alone {
            while isInPart { _ = try await readBytes(of: part) }
            if hasEnded { return nil }
            switch try await nextEvent() {
            case .part(let fields):
                part += 1
                isInPart = true
                return try FormPart(fields, body: HTTPBody(incoming: PartBody(self, part), length: nil))
            default:
                hasEnded = true
                return nil
            }
        }
    }

    func nextBytes(of wanted: Int) async throws -> [UInt8]? {
        try await turn.alone { try await readBytes(of: wanted) }
    }

    private func readBytes(of wanted: Int) async throws -> [UInt8]? {
        guard isInPart, wanted == part else { return nil }
        if case .bytes(let bytes) = try await nextEvent() { return bytes }
        isInPart = false
        return nil
    }

    private func nextEvent() async throws -> MultipartParser.Event {
        while true {
            if let event = try parser.next() { return event }
            guard let piece = try await pieces.next() else {
                try parser.finish()
                return .end
            }
            try parser.feed(piece)
        }
    }

    private final class PartBody: IncomingBody {
        private let reader: MultipartReader
        private let part: Int

        init(_ reader: MultipartReader, _ part: Int) {
            self.reader = reader
            self.part = part
        }

        func next() async throws -> [UInt8]? { try await reader.nextBytes(of: part) }

        var trailerFields: HTTPFields? { nil }
    }
}
#endif
