#if HTTP
/// Checks UTF-8 (RFC 3629) that comes in pieces, and says no at the first byte that cannot be right.
struct UTF8Validator {
    /// Bytes that are still to follow, and what the next one has to lie in.
    private var missing = 0
    private var low: UInt8 = 0x80
    private var high: UInt8 = 0xbf

    /// Whether a character is not finished.
    var isWithinCharacter: Bool { missing > 0 }

    /// False if the bytes so far begin no text.
    mutating func accept(_ bytes: some Sequence<UInt8>) -> Bool {
        for byte in bytes where !accept(byte) { return false }
        return true
    }

    private mutating func accept(_ byte: UInt8) -> Bool {
        guard missing == 0 else {
            guard low...high ~= byte else { return false }
            missing -= 1
            (low, high) = (0x80, 0xbf)
            return true
        }
        switch byte {
        case 0x00...0x7f: return true
        case 0xc2...0xdf: missing = 1
        case 0xe0: (missing, low) = (2, 0xa0)
        case 0xed: (missing, high) = (2, 0x9f)
        case 0xe1...0xef: missing = 2
        case 0xf0: (missing, low) = (3, 0x90)
        case 0xf4: (missing, high) = (3, 0x8f)
        case 0xf1...0xf3: missing = 3
        default: return false
        }
        return true
    }
}
#endif
