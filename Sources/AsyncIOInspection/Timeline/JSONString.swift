/// Strings of JSON (RFC 8259, 7).
package enum JSONString {
    /// Adds a text, in quotes. What it holds can do nothing to a terminal: control characters are escapes, and so are
    /// those that turn the direction of text. For pages, so is what means something to HTML or JavaScript.
    package static func write(_ text: String, to bytes: inout [UInt8], forPages: Bool = false) {
        bytes.append(UInt8(ascii: "\""))
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"", "\\":
                bytes.append(UInt8(ascii: "\\"))
                bytes.append(UInt8(scalar.value))
            case "a"..."z", "A"..."Z", "0"..."9", " ", ".", ":", "#", "-", "_", "/": bytes.append(UInt8(scalar.value))
            case "<" where forPages, ">" where forPages, "&" where forPages, "'" where forPages, "`" where forPages,
                "\u{0}"..."\u{1f}", "\u{7f}"..."\u{9f}", "\u{2028}", "\u{2029}", "\u{feff}", "\u{200e}", "\u{200f}",
                "\u{202a}"..."\u{202e}", "\u{2066}"..."\u{2069}":
                escape(scalar.value, to: &bytes)
            default: bytes.append(contentsOf: String(scalar).utf8)
            }
        }
        bytes.append(UInt8(ascii: "\""))
    }

    /// None of those that are written so needs two of them.
    private static func escape(_ code: UInt32, to bytes: inout [UInt8]) {
        bytes += "\\u".utf8
        for shift in [12, 8, 4, 0] as [UInt32] {
            let digit = UInt8(code >> shift & 15)
            bytes.append(digit < 10 ? UInt8(ascii: "0") + digit : UInt8(ascii: "a") - 10 + digit)
        }
    }
}
