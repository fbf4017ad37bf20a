/// Text of JSON, in pieces: whenever enough has come together, it is given away.
///
/// Every character that means something to HTML or JavaScript is written as an escape, so the text may stand in a
/// script of a page whatever names it holds.
struct JSONText {
    private(set) var bytes: [UInt8] = []
    private let sink: ([UInt8]) throws -> Void
    /// So much is given away at a time, or a little more.
    static let piece = 65_536

    init(to sink: @escaping ([UInt8]) throws -> Void) {
        self.sink = sink
        bytes.reserveCapacity(Self.piece + 1_024)
    }

    /// What is JSON already.
    mutating func raw(_ text: StaticString) {
        unsafe bytes.append(contentsOf: UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
    }

    mutating func raw(_ text: String) { bytes.append(contentsOf: text.utf8) }

    mutating func append(_ text: [UInt8]) { bytes.append(contentsOf: text) }

    mutating func byte(_ byte: UInt8) { bytes.append(byte) }

    mutating func number(_ number: some BinaryInteger) { raw(String(number)) }

    /// Nanoseconds as microseconds with three digits behind the point.
    mutating func microseconds(_ nanoseconds: Int64) {
        let (whole, rest) = nanoseconds.quotientAndRemainder(dividingBy: 1_000)
        if nanoseconds < 0 && whole == 0 { byte(UInt8(ascii: "-")) }
        number(whole)
        let digits = abs(rest)
        guard digits != 0 else { return }
        byte(UInt8(ascii: "."))
        for digit in [digits / 100, digits / 10 % 10, digits % 10] { byte(UInt8(ascii: "0") + UInt8(digit)) }
    }

    /// A text, in quotes.
    mutating func string(_ text: String) { JSONString.write(text, to: &bytes, forPages: true) }

    /// Gives away what has come together, if it is enough.
    mutating func flush(isLast: Bool = false) throws {
        guard bytes.count >= (isLast ? 1 : Self.piece) else { return }
        try sink(bytes)
        bytes.removeAll(keepingCapacity: true)
    }
}
