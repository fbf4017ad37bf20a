#if HTTP
/// Bytes that compress as pages do, and bytes that do not compress.
enum Texts {
    static func page(_ count: Int) -> [UInt8] {
        var text: [UInt8] = []
        var number = 0
        while text.count < count {
            text += "<li><a href=\"/rooms/\(number &* 7_919 % 1_000)\">room \(number)</a></li>\n".utf8
            number += 1
        }
        return Array(text.prefix(count))
    }

    static func noise(_ count: Int, seed: UInt64 = 1) -> [UInt8] {
        var state = seed &* 0x9e37_79b9_7f4a_7c15 | 1
        return (0..<count).map { _ in
            state ^= state << 13
            state ^= state >> 7
            state ^= state << 17
            return UInt8(truncatingIfNeeded: state >> 32)
        }
    }
}
#endif
