#if HTTP
import HTTPTypes

/// Takes a multipart body apart, wherever it is cut (RFC 2046 section 5.1, RFC 7578). It keeps a part's head, and of
/// its content no more than could be the begin of a boundary.
struct MultipartParser {
    enum Event: Equatable {
        case part(HTTPFields)
        case bytes([UInt8])
        case endOfPart
        case end
    }

    private enum State {
        /// Before the first boundary.
        case preamble
        /// Behind a boundary: the end of its line, or of everything.
        case boundary
        case head
        case content
        case end
    }

    private let limits: MultipartLimits
    /// CR LF, two hyphens, and the boundary.
    private let delimiter: [UInt8]
    private var state = State.preamble
    /// As if there were a line end in front: the first boundary needs none.
    private var buffer: [UInt8] = [0x0d, 0x0a]
    /// What of the buffer has been taken already.
    private var start = 0
    /// From where on the buffer has not been looked at.
    private var looked = 0
    private var parts = 0
    private var partSize = 0
    private var total = 0
    private var preamble = 0
    /// The head of the part that has begun, as far as it has come, and its size.
    private var fields = HTTPFields()
    private var headSize = 0

    /// Throws ``HTTPError`` (400) for a boundary that may not be one.
    init(boundary: String, limits: MultipartLimits) throws(HTTPError) {
        let bytes = Array(boundary.utf8)
        guard (1...70).contains(bytes.count), bytes.last != UInt8(ascii: " "), bytes.allSatisfy(Self.isAllowed) else {
            throw HTTPError(
                .badRequest, "a boundary has 1 to 70 characters, which are letters, digits, space and '()+_,-./:=?")
        }
        delimiter = Array("\r\n--".utf8) + bytes
        self.limits = limits
    }

    private static func isAllowed(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"):
            true
        default: "'()+_,-./:=? ".utf8.contains(byte)
        }
    }

    /// Takes bytes. What they mean is asked for by ``next()``.
    mutating func feed(_ bytes: [UInt8]) throws(HTTPError) {
        // Behind the end, nothing means anything.
        if state == .end { return }
        guard bytes.count <= limits.total - total else { throw HTTPError.contentTooLarge(limit: limits.total) }
        total += bytes.count
        let done = min(start, looked)
        buffer.removeFirst(done)
        looked -= done
        start -= done
        buffer += bytes
    }

    /// What comes next; nil if more bytes are needed to say. Throws ``HTTPError``: 400 for what is malformed, 413 for a
    /// limit.
    mutating func next() throws(HTTPError) -> Event? {
        while true {
            switch state {
            case .preamble:
                let end = findDelimiter()
                let preambleEnd = end.map { $0 - delimiter.count } ?? looked
                preamble += preambleEnd - start
                start = preambleEnd
                guard preamble <= limits.headSize else { throw HTTPError.contentTooLarge(limit: limits.headSize) }
                guard let end else { return nil }
                move(to: end, .boundary)
            case .boundary:
                guard let isLast = try endOfBoundary() else { return nil }
                if isLast {
                    state = .end
                    return .end
                }
                parts += 1
                guard parts <= limits.parts else {
                    throw HTTPError(.contentTooLarge, "the form has more than \(limits.parts) parts")
                }
                partSize = 0
                state = .head
            case .head:
                guard let fields = try head() else { return nil }
                state = .content
                return .part(fields)
            case .content:
                return try content()
            case .end:
                return nil
            }
        }
    }

    /// Says whether the body was whole, when there is nothing more of it.
    func finish() throws(HTTPError) {
        if state != .end { throw HTTPError(.badRequest, "the form ends before its last boundary") }
    }

    private mutating func move(to place: Int, _ state: State) {
        start = place
        looked = place
        self.state = state
    }

    // MARK: Steps

    /// Where the delimiter ends, if it is there. What cannot be one is not looked at again; what has been found is.
    private mutating func findDelimiter() -> Int? {
        while let found = buffer[looked...].firstIndex(of: 0x0d) {
            looked = found
            guard buffer.count - found >= delimiter.count else {
                // It may become one.
                if delimiter.starts(with: buffer[found...]) { return nil }
                looked += 1
                continue
            }
            if buffer[found..<found + delimiter.count].elementsEqual(delimiter) { return found + delimiter.count }
            looked += 1
        }
        looked = buffer.count
        return nil
    }

    /// Whether the boundary was the last one: two hyphens follow. Nil if that is not to be seen yet.
    ///
    /// Spaces behind a boundary mean nothing (transport padding); everything else there is malformed, since it would be
    /// a content that has the boundary in it.
    private mutating func endOfBoundary() throws(HTTPError) -> Bool? {
        let rest = buffer[start...]
        if rest.first == UInt8(ascii: "-") {
            guard rest.count >= 2 else { return nil }
            guard rest[start + 1] == UInt8(ascii: "-") else { throw malformedBoundary }
            return true
        }
        guard let end = rest.firstIndex(where: { $0 != UInt8(ascii: " ") && $0 != UInt8(ascii: "\t") }) else {
            guard rest.count <= limits.headSize else { throw malformedBoundary }
            return nil
        }
        guard rest[end] == 0x0d, end - start <= limits.headSize else { throw malformedBoundary }
        guard end + 1 < buffer.count else { return nil }
        guard buffer[end + 1] == 0x0a else { throw malformedBoundary }
        move(to: end + 2, .head)
        fields = HTTPFields()
        headSize = 0
        return false
    }

    private var malformedBoundary: HTTPError {
        HTTPError(.badRequest, "a boundary is followed by -- or by the end of its line")
    }

    /// The fields of a part, if their end is there: an empty line.
    private mutating func head() throws(HTTPError) -> HTTPFields? {
        while let end = lineEnd() {
            let line = buffer[start..<end]
            headSize += line.count + 2
            guard headSize <= limits.headSize else { throw headTooLarge }
            start = end + 2
            if line.isEmpty {
                // A part without a content may have its boundary here: this line end is the boundary's, then.
                looked = end
                return fields
            }
            looked = start
            guard fields.count < Self.fieldCount else {
                throw HTTPError(.contentTooLarge, "the head of a part has more than \(Self.fieldCount) fields")
            }
            fields.append(try field(line))
        }
        guard headSize + buffer.count - start <= limits.headSize else { throw headTooLarge }
        return nil
    }

    /// The most fields of a part's head.
    private static let fieldCount = 100

    private var headTooLarge: HTTPError {
        HTTPError(.contentTooLarge, "the head of a part has more than \(limits.headSize) bytes")
    }

    /// Where the next line ends, if that is there. What is none is not looked at again.
    private mutating func lineEnd() -> Int? {
        while let found = buffer[looked...].firstIndex(of: 0x0d) {
            looked = found
            guard found + 1 < buffer.count else { return nil }
            if buffer[found + 1] == 0x0a { return found }
            looked += 1
        }
        looked = buffer.count
        return nil
    }

    private func field(_ line: ArraySlice<UInt8>) throws(HTTPError) -> HTTPField {
        guard let colon = line.firstIndex(of: UInt8(ascii: ":")), !line.contains(where: { $0 < 0x20 && $0 != 0x09 }),
            let text = String(validating: line[(colon + 1)...], as: UTF8.self),
            let name = HTTPField.Name(String(decoding: line[..<colon], as: UTF8.self))
        else { throw HTTPError(.badRequest, "a part's head has a line that is no field in UTF-8") }
        return HTTPField(name: name, value: text.trimmed)
    }

    private mutating func content() throws(HTTPError) -> Event? {
        let end = findDelimiter()
        let contentEnd = end.map { $0 - delimiter.count } ?? looked
        guard contentEnd > start else {
            guard let end else { return nil }
            move(to: end, .boundary)
            return .endOfPart
        }
        partSize += contentEnd - start
        guard partSize <= limits.partSize else {
            throw HTTPError(.contentTooLarge, "a part has more than \(limits.partSize) bytes")
        }
        defer { start = contentEnd }
        return .bytes(Array(buffer[start..<contentEnd]))
    }
}
#endif
