#if HTTP
extension HTTPURL {
    /// What may stand in a path as it is (RFC 3986 section 3.3).
    static let inPath = table(of: "/:@!$&'()*+,;=")
    /// What may stand in a query and in a fragment as it is (its sections 3.4 and 3.5).
    static let inQuery = table(of: "/?:@!$&'()*+,;=")
    /// What may stand before the @ as it is (its section 3.2.1).
    static let inUserInfo = table(of: ":!$&'()*+,;=")
    /// What may stand anywhere as it is: for a piece of a path, a name or a value of a query (its section 2.3).
    static let unreserved = table(of: "")

    private static func table(of more: String) -> [Bool] {
        let letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~"
        var table = [Bool](repeating: false, count: 256)
        for byte in (letters + more).utf8 { table[Int(byte)] = true }
        return table
    }

    /// A text in which everything that could mean something to a URL is encoded: for a piece of a path, or a value of a
    /// query.
    public static func encoding(_ text: String) -> String {
        var bytes: [UInt8] = []
        for byte in text.utf8 { append(byte, to: &bytes, unreserved) }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// The text with what may not stand there encoded. What is encoded already stays; a `%` that encodes nothing is.
    static func encoded(_ text: Substring, _ allowed: [Bool]) -> String {
        let bytes = Array(text.utf8)
        var result: [UInt8] = []
        result.reserveCapacity(bytes.count)
        for (index, byte) in bytes.enumerated() {
            if byte == UInt8(ascii: "%"), index + 2 < bytes.count, value(ofHex: bytes[index + 1]) != nil,
                value(ofHex: bytes[index + 2]) != nil
            {
                result.append(byte)
            } else {
                append(byte, to: &result, allowed)
            }
        }
        return String(decoding: result, as: UTF8.self)
    }

    private static func append(_ byte: UInt8, to result: inout [UInt8], _ allowed: [Bool]) {
        if allowed[Int(byte)] { return result.append(byte) }
        let digits = Array("0123456789ABCDEF".utf8)
        result += [UInt8(ascii: "%"), digits[Int(byte >> 4)], digits[Int(byte & 15)]]
    }

    /// The text that is meant; nil if a `%` encodes nothing, or the bytes are no UTF-8.
    static func decoded(_ text: Substring) -> String? {
        var bytes: [UInt8] = []
        var rest = Array(text.utf8)[...]
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "%") else {
                bytes.append(byte)
                continue
            }
            guard let high = rest.popFirst().flatMap(value(ofHex:)), let low = rest.popFirst().flatMap(value(ofHex:))
            else { return nil }
            bytes.append(high << 4 | low)
        }
        return String(validating: bytes, as: UTF8.self)
    }

    private static func value(ofHex digit: UInt8) -> UInt8? {
        switch digit {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): digit - UInt8(ascii: "0")
        case UInt8(ascii: "a")...UInt8(ascii: "f"): digit - UInt8(ascii: "a") + 10
        case UInt8(ascii: "A")...UInt8(ascii: "F"): digit - UInt8(ascii: "A") + 10
        default: nil
        }
    }

    /// The path without `.` and `..` (RFC 3986 section 5.2.4). Those that are encoded mean the same to many servers.
    static func removingDots(_ path: String) -> String {
        var kept: [Substring] = []
        let segments = path.split(separator: "/", omittingEmptySubsequences: false).dropFirst()
        for (index, segment) in zip(segments.indices, segments) {
            let plain = segment.lowercased().replacing("%2e", with: ".")
            let isLast = index == segments.endIndex - 1
            switch plain {
            case ".":
                if isLast { kept.append("") }
            case "..":
                if !kept.isEmpty { kept.removeLast() }
                if isLast { kept.append("") }
            default: kept.append(segment)
            }
        }
        return "/" + kept.joined(separator: "/")
    }
}
#endif
