/// Text of a child for a message: no control character of it reaches a terminal.
enum VisibleText {
    /// On one line.
    static func line(_ text: some StringProtocol) -> String {
        String(
            String.UnicodeScalarView(
                text.unicodeScalars.map { scalar in
                    let isControl = scalar.value < 0x20 || (0x7f..<0xa0).contains(scalar.value)
                    return isControl ? "\u{fffd}" : scalar
                }))
    }

    /// The last lines of some output: at most so many, of its last bytes.
    static func lastLines(of bytes: [UInt8], atMost limit: Int, bytes room: Int = 4_096) -> [String] {
        let text = String(decoding: bytes.suffix(room), as: UTF8.self)
        let lines = text.split(whereSeparator: \.isNewline).suffix(limit)
        return lines.map { line($0) }
    }
}
