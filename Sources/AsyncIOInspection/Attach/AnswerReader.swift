/// Reads an answer as it comes, in pieces of any size.
package struct AnswerReader {
    /// The most bytes that an answer's body may have.
    package static let bodyLimit = 1 << 30

    /// The records so far.
    package private(set) var records = TreeReader()
    /// The body, where the answer has one.
    package private(set) var body: [UInt8]?
    /// Why there is no answer.
    package private(set) var refusal: String?
    package private(set) var isComplete = false

    private var unread: [UInt8] = []
    private var bodyLeft = 0
    private var lines = 0

    package init() {}

    /// Takes what has come. What comes behind the answer's end is an error: nothing was asked for.
    package mutating func take(_ bytes: [UInt8]) throws(LineError) {
        var rest = bytes[...]
        while !rest.isEmpty {
            if isComplete { throw LineError(line: lines + 1, reason: "more than was asked for") }
            if bodyLeft > 0 {
                let piece = rest.prefix(bodyLeft)
                body?.append(contentsOf: piece)
                bodyLeft -= piece.count
                rest = rest.dropFirst(piece.count)
                continue
            }
            guard let end = rest.firstIndex(of: UInt8(ascii: "\n")) else {
                unread += rest
                guard unread.count <= Line.limit else { throw LineError(line: lines + 1, reason: "it is too long") }
                return
            }
            lines += 1
            if unread.isEmpty {
                try take(Line(parsing: rest[..<end], number: lines))
            } else {
                unread += rest[..<end]
                try take(Line(parsing: unread[...], number: lines))
                unread = []
            }
            rest = rest[(end + 1)...]
        }
    }

    /// The other side has finished.
    package func finish() throws(LineError) {
        guard isComplete else { throw LineError(line: lines + 1, reason: "the answer is cut off") }
    }

    private mutating func take(_ line: Line) throws(LineError) {
        switch line {
        case .record(let record): try records.take(record)
        case .end: isComplete = true
        case .error(let reason):
            refusal = reason
            isComplete = true
        case .bytes(let count):
            guard count <= Self.bodyLimit, body == nil else {
                throw LineError(line: lines, reason: "a strange number of bytes")
            }
            body = []
            bodyLeft = count
        }
    }
}
