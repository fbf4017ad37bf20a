import AsyncIOKernel

// The line protocol's lines, written and read: one form for the process that is inspected and for who inspects it.
//
// A record is a line: its kind, then `key=value` for each thing that is known, with a tab before each. In a value stand
// `\t`, `\n` and `\\` for what would end it, and `\xHH` for other control characters, so that a terminal may show it.

/// Writes records.
struct LineWriter {
    private(set) var bytes: [UInt8] = []
    private var copies: [UInt: (frame: Frame, bytes: [UInt8])] = [:]

    /// Begins a record.
    mutating func begin(_ kind: String) { bytes.append(contentsOf: kind.utf8) }

    /// Ends the record.
    mutating func end() { bytes.append(UInt8(ascii: "\n")) }

    mutating func add(_ key: String, _ text: String?) {
        guard let text else { return }
        addKey(key)
        escape(text)
    }

    mutating func add(_ key: String, _ number: (some BinaryInteger)?) {
        guard let number else { return }
        addKey(key)
        write(number)
    }

    /// In nanoseconds.
    mutating func add(_ key: String, _ duration: Duration?) { add(key, duration?.saturatedNanoseconds) }

    /// Yes is written, no is not.
    mutating func add(_ key: String, _ flag: Bool) { if flag { add(key, 1) } }

    mutating func add(_ key: String, _ ids: [UInt64]) {
        guard !ids.isEmpty else { return }
        addKey(key)
        for (index, id) in ids.enumerated() {
            if index > 0 { bytes.append(UInt8(ascii: ",")) }
            write(id)
        }
    }

    /// A frame's record, which is written once for all that are equal, and then copied: most tasks of a program begin
    /// in the same few places.
    mutating func addCopy(of frame: Frame, _ record: (inout LineWriter) -> Void) {
        if let copy = copies[frame.address], copy.frame == frame { return bytes.append(contentsOf: copy.bytes) }
        let start = bytes.count
        record(&self)
        copies[frame.address] = (frame, Array(bytes[start...]))
    }

    /// A line that is a word and the rest: `error TEXT`, `bytes N`.
    mutating func addLine(_ word: String, _ text: String) {
        begin(word)
        bytes.append(UInt8(ascii: " "))
        escape(text)
        end()
    }

    /// The last line of an answer.
    mutating func addEnd() {
        begin("end")
        end()
    }

    /// Bytes as they are, after the line that says how many they are.
    mutating func addBytes(_ body: [UInt8]) {
        addLine("bytes", "\(body.count)")
        bytes.append(contentsOf: body)
    }

    private mutating func addKey(_ key: String) {
        bytes.append(UInt8(ascii: "\t"))
        bytes.append(contentsOf: key.utf8)
        bytes.append(UInt8(ascii: "="))
    }

    @inline(__always)
    private mutating func write(_ number: some BinaryInteger) {
        // Without a string for each of a hundred thousand numbers.
        guard let number = UInt64(exactly: number) else { return bytes.append(contentsOf: String(number).utf8) }
        write(number)
    }

    private mutating func write(_ number: UInt64) {
        var rest = number
        let start = bytes.count
        repeat {
            bytes.append(UInt8(ascii: "0") + UInt8(truncatingIfNeeded: rest % 10))
            rest /= 10
        } while rest > 0
        var (first, last) = (start, bytes.count - 1)
        while first < last {
            bytes.swapAt(first, last)
            (first, last) = (first + 1, last - 1)
        }
    }

    private mutating func escape(_ text: String) {
        var text = text
        text.withUTF8 { memory in
            // Nearly all are plain.
            if unsafe memory.allSatisfy({ (0x20..<0x7f).contains($0) && $0 != UInt8(ascii: "\\") }) {
                return unsafe bytes.append(contentsOf: memory)
            }
            for index in 0..<memory.count {
                let byte = unsafe memory[index]
                let next = index + 1 < memory.count ? unsafe memory[index + 1] : 0
                let before = index > 0 ? unsafe memory[index - 1] : 0
                switch byte {
                case UInt8(ascii: "\\"): bytes.append(contentsOf: [UInt8(ascii: "\\"), UInt8(ascii: "\\")])
                case UInt8(ascii: "\t"): bytes.append(contentsOf: [UInt8(ascii: "\\"), UInt8(ascii: "t")])
                case UInt8(ascii: "\n"): bytes.append(contentsOf: [UInt8(ascii: "\\"), UInt8(ascii: "n")])
                case 0..<0x20, 0x7f: escape(byte)
                // The controls of Latin-1, U+0080 to U+009F, are two bytes.
                case 0xc2 where (0x80..<0xa0).contains(next): escape(byte)
                case 0x80..<0xa0 where before == 0xc2: escape(byte)
                default: bytes.append(byte)
                }
            }
        }
    }

    private mutating func escape(_ byte: UInt8) {
        let digits = String(byte, radix: 16)
        bytes.append(contentsOf: "\\x\(digits.utf8.count < 2 ? "0" : "")\(digits)".utf8)
    }
}

/// What is wrong with a line.
package struct LineError: Error, Equatable, CustomStringConvertible {
    /// The line's number in its answer, from 1.
    package let line: Int
    package let reason: String

    package init(line: Int, reason: String) {
        self.line = line
        self.reason = reason
    }

    package var description: String { "line \(line): \(reason)" }
}

/// A line of an answer.
package enum Line {
    case record(Record)
    case end
    case error(String)
    /// So many bytes follow.
    case bytes(Int)

    /// The longest line that is read.
    package static let limit = 1 << 20

    /// Reads a line, without its end. Never crashes, whatever the bytes are.
    package init(parsing bytes: ArraySlice<UInt8>, number: Int) throws(LineError) {
        guard bytes.count <= Self.limit else { throw LineError(line: number, reason: "it is too long") }
        guard bytes.first == UInt8(ascii: "e") || bytes.first == UInt8(ascii: "b") else {
            self = .record(try Record(parsing: bytes, number: number))
            return
        }
        if bytes.elementsEqual("end".utf8) {
            self = .end
        } else if bytes.starts(with: "error ".utf8) {
            self = .error(try Record.text(bytes.dropFirst(6), line: number))
        } else if bytes.starts(with: "bytes ".utf8) {
            let text = try Record.text(bytes.dropFirst(6), line: number)
            guard let count = Int(text), count >= 0 else { throw LineError(line: number, reason: "no number of bytes") }
            self = .bytes(count)
        } else {
            self = .record(try Record(parsing: bytes, number: number))
        }
    }
}

/// A line that says what is known of something.
package struct Record {
    /// What it is about.
    package let kind: String
    /// The line's number.
    package let line: Int
    /// Where the keys and values are in the line. They become strings where they are asked for: most of a tree's
    /// hundred thousand are numbers.
    private var fields: [(key: Range<Int>, value: Range<Int>)] = []
    private let bytes: ArraySlice<UInt8>

    init(parsing bytes: ArraySlice<UInt8>, number: Int) throws(LineError) {
        line = number
        self.bytes = bytes
        fields.reserveCapacity(24)
        var at = bytes.firstIndex(of: UInt8(ascii: "\t")) ?? bytes.endIndex
        kind = try Self.text(bytes[..<at], line: number)
        guard !kind.isEmpty else { throw LineError(line: number, reason: "it has no kind") }
        while at < bytes.endIndex {
            let start = at + 1
            at = bytes[start...].firstIndex(of: UInt8(ascii: "\t")) ?? bytes.endIndex
            guard let sign = bytes[start..<at].firstIndex(of: UInt8(ascii: "=")) else {
                throw LineError(line: number, reason: "a field without =")
            }
            fields.append((start..<sign, (sign + 1)..<at))
        }
        // What is not plain is looked at now, whoever asks for it.
        guard !Self.isPlain(bytes) else { return }
        for field in fields {
            _ = try Self.text(bytes[field.key], line: number)
            _ = try Self.text(bytes[field.value], line: number)
        }
    }

    /// Whether the lines are equal.
    func says(theSameAs other: Record) -> Bool { bytes.elementsEqual(other.bytes) }

    private func value(_ key: String) -> ArraySlice<UInt8>? {
        fields.first { bytes[$0.key].elementsEqual(key.utf8) }.map { bytes[$0.value] }
    }

    package func text(_ key: String) throws(LineError) -> String? {
        guard let value = value(key) else { return nil }
        return try Self.text(value, line: line)
    }

    package func number<Number: FixedWidthInteger>(
        _ key: String, as type: Number.Type = Number.self
    ) throws(LineError) -> Number? {
        guard let value = value(key) else { return nil }
        guard let number = Self.number(value, as: Number.self) else { throw wrong(key) }
        return number
    }

    package func duration(_ key: String) throws(LineError) -> Duration? {
        try number(key, as: Int64.self).map { .nanoseconds($0) }
    }

    package func flag(_ key: String) throws(LineError) -> Bool { try number(key, as: Int.self) ?? 0 != 0 }

    package func ids(_ key: String) throws(LineError) -> [UInt64] {
        guard let text = try text(key), !text.isEmpty else { return [] }
        var ids: [UInt64] = []
        for part in text.split(separator: ",", omittingEmptySubsequences: false) {
            guard let id = UInt64(part) else { throw wrong(key) }
            ids.append(id)
        }
        return ids
    }

    /// A word of a few.
    package func word<Word: RawRepresentable<String>>(
        _ key: String, as type: Word.Type = Word.self
    ) throws(LineError) -> Word? {
        guard let text = try text(key) else { return nil }
        guard let word = Word(rawValue: text) else { throw wrong(key) }
        return word
    }

    /// What must be there.
    package func required<Value>(_ key: String, _ value: Value?) throws(LineError) -> Value {
        guard let value else { throw LineError(line: line, reason: "\(kind) without \(key)") }
        return value
    }

    package func wrong(_ key: String) -> LineError { LineError(line: line, reason: "\(kind) with a strange \(key)") }

    /// Digits, and a sign before them at most.
    private static func number<Number: FixedWidthInteger>(_ digits: ArraySlice<UInt8>, as: Number.Type) -> Number? {
        var digits = digits
        let isNegative = digits.first == UInt8(ascii: "-")
        if isNegative { digits.removeFirst() }
        guard !digits.isEmpty else { return nil }
        var number: Number = 0
        for digit in digits {
            guard (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(digit) else { return nil }
            // Towards the sign, since there is one more negative number.
            let step = Number(truncatingIfNeeded: digit - UInt8(ascii: "0"))
            let (tens, isFar) = number.multipliedReportingOverflow(by: 10)
            let (sum, isTooFar) =
                isNegative ? tens.subtractingReportingOverflow(step) : tens.addingReportingOverflow(step)
            if isFar || isTooFar { return nil }
            number = sum
        }
        return number
    }

    private static func isPlain(_ bytes: ArraySlice<UInt8>) -> Bool {
        bytes.allSatisfy { $0 < 0x80 && $0 != UInt8(ascii: "\\") }
    }

    /// Text without its escapes.
    static func text(_ bytes: ArraySlice<UInt8>, line: Int) throws(LineError) -> String {
        let text: String?
        // Nearly all are plain, and a tree has a hundred thousand of them.
        if isPlain(bytes) {
            return String(decoding: bytes, as: UTF8.self)
        } else if bytes.contains(UInt8(ascii: "\\")) {
            guard let plain = unescape(bytes) else { throw LineError(line: line, reason: "a strange escape") }
            text = String(validating: plain, as: UTF8.self)
        } else {
            text = String(validating: bytes, as: UTF8.self)
        }
        guard let text else { throw LineError(line: line, reason: "it is not UTF-8") }
        return text
    }

    private static func unescape(_ bytes: ArraySlice<UInt8>) -> [UInt8]? {
        var plain: [UInt8] = []
        var rest = bytes
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "\\") else {
                plain.append(byte)
                continue
            }
            switch rest.popFirst() {
            case UInt8(ascii: "\\"): plain.append(UInt8(ascii: "\\"))
            case UInt8(ascii: "t"): plain.append(UInt8(ascii: "\t"))
            case UInt8(ascii: "n"): plain.append(UInt8(ascii: "\n"))
            case UInt8(ascii: "x"):
                let digits = rest.prefix(2)
                guard digits.count == 2, digits.allSatisfy({ Character(Unicode.Scalar($0)).isHexDigit }),
                    let value = UInt8(String(decoding: digits, as: UTF8.self), radix: 16)
                else { return nil }
                plain.append(value)
                rest = rest.dropFirst(2)
            default: return nil
            }
        }
        return plain
    }
}
