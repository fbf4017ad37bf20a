#if HTTP
/// Percent-encoding (RFC 3986 section 2.1), strictly: what is malformed is nobody's guess.
enum PercentCoding {
    /// What `+` stands for: in forms and their queries, for a space.
    enum PlusSign { case itself, space }

    /// The bytes that are meant; nil if a `%` is not followed by two hexadecimal digits.
    static func bytes(_ text: some Collection<UInt8>, plus: PlusSign = .itself) -> [UInt8]? {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(text.count)
        var iterator = text.makeIterator()
        while let byte = iterator.next() {
            switch byte {
            case UInt8(ascii: "%"):
                guard let high = iterator.next().flatMap(digit), let low = iterator.next().flatMap(digit) else {
                    return nil
                }
                bytes.append(high << 4 | low)
            case UInt8(ascii: "+") where plus == .space:
                bytes.append(UInt8(ascii: " "))
            default:
                bytes.append(byte)
            }
        }
        return bytes
    }

    /// The text that is meant; nil if it is malformed, or no UTF-8.
    static func text(_ text: Substring, plus: PlusSign = .itself) -> Substring? {
        let isPlain = text.utf8.allSatisfy {
            $0 != UInt8(ascii: "%") && (plus == .itself || $0 != UInt8(ascii: "+"))
        }
        if isPlain { return text }
        return bytes(text.utf8, plus: plus).flatMap { String(validating: $0, as: UTF8.self) }.map { $0[...] }
    }

    /// A text as it stands in one segment of a path, or in a query: everything but the unreserved characters (RFC 3986
    /// section 2.3) is encoded.
    static func encoded(_ bytes: some Sequence<UInt8>) -> String {
        let digits = Array("0123456789ABCDEF".utf8)
        var out: [UInt8] = []
        for byte in bytes {
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"),
                UInt8(ascii: "~"):
                out.append(byte)
            default:
                out += [UInt8(ascii: "%"), digits[Int(byte >> 4)], digits[Int(byte & 15)]]
            }
        }
        return String(decoding: out, as: UTF8.self)
    }

    private static func digit(_ byte: UInt8) -> UInt8? {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): byte - UInt8(ascii: "0")
        case UInt8(ascii: "a")...UInt8(ascii: "f"): byte - UInt8(ascii: "a") + 10
        case UInt8(ascii: "A")...UInt8(ascii: "F"): byte - UInt8(ascii: "A") + 10
        default: nil
        }
    }
}
#endif
