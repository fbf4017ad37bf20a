/// Tells code from comments and from the text of string literals, in Swift and in C.
///
/// Just enough for the rules: what stands in quotes does not count as code, except what an interpolation calls.
/// Literals of regular expressions are not known.
struct Lexer {
    private let bytes: [UInt8]
    private let knowsCharacterLiterals: Bool
    private var position = 0
    /// The text with a space for every byte that is not code.
    private(set) var code: [UInt8]
    /// The text with a space for every byte that is not of a comment.
    private(set) var comments: [UInt8]

    init(_ text: String, knowsCharacterLiterals: Bool) {
        bytes = Array(text.utf8)
        self.knowsCharacterLiterals = knowsCharacterLiterals
        code = bytes.map { $0 == UInt8(ascii: "\n") ? $0 : UInt8(ascii: " ") }
        comments = code
    }

    mutating func run() { scanCode(endsAtParenthesis: false) }

    private mutating func scanCode(endsAtParenthesis: Bool) {
        var depth = 0
        while position < bytes.count {
            if isNext("//") {
                scanLineComment()
            } else if isNext("/*") {
                scanBlockComment()
            } else if let hashes = hashesBeforeQuote() {
                scanString(hashes: hashes)
            } else if knowsCharacterLiterals && isNext("'") {
                scanCharacter()
            } else {
                if isNext("(") { depth += 1 }
                if isNext(")") { depth -= 1 }
                if endsAtParenthesis && depth < 0 { return }
                code[position] = bytes[position]
                position += 1
            }
        }
    }

    private mutating func scanLineComment() {
        while position < bytes.count && !isNext("\n") { keepComment(1) }
    }

    private mutating func scanBlockComment() {
        var depth = 0
        repeat {
            if isNext("/*") {
                depth += 1
                keepComment(2)
            } else if isNext("*/") {
                depth -= 1
                keepComment(2)
            } else {
                keepComment(1)
            }
        } while depth > 0 && position < bytes.count
    }

    /// How many number signs stand before a quote that begins here, or nil if no string begins.
    private func hashesBeforeQuote() -> Int? {
        let hashes = bytes[position...].prefix { $0 == UInt8(ascii: "#") }.count
        return isNext("\"", after: hashes) ? hashes : nil
    }

    private mutating func scanString(hashes: Int) {
        let marks = String(repeating: "#", count: hashes)
        let isMultiline = isNext("\"\"\"", after: hashes)
        let end = (isMultiline ? "\"\"\"" : "\"") + marks
        position += hashes + (isMultiline ? 3 : 1)
        while position < bytes.count {
            if isNext(end) {
                position += end.utf8.count
                return
            }
            // An unclosed literal ends with its line.
            if !isMultiline && isNext("\n") { return }
            if isNext("\\" + marks + "(") {
                position += hashes + 2
                scanCode(endsAtParenthesis: true)
                position += 1
            } else {
                position += isNext("\\" + marks) ? hashes + 2 : 1
            }
        }
    }

    private mutating func scanCharacter() {
        position += 1
        while position < bytes.count && !isNext("'") && !isNext("\n") { position += isNext("\\") ? 2 : 1 }
        position += 1
    }

    private mutating func keepComment(_ count: Int) {
        for index in position..<min(position + count, bytes.count) { comments[index] = bytes[index] }
        position += count
    }

    private func isNext(_ text: String, after offset: Int = 0) -> Bool {
        guard position + offset <= bytes.count else { return false }
        return bytes[(position + offset)...].starts(with: text.utf8)
    }
}
