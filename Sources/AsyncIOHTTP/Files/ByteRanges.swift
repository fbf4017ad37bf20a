#if HTTP
/// Which bytes of a content a request asks for (RFC 9110 section 14).
enum ByteRanges: Equatable {
    /// All: no range was asked for, or none that has to be understood.
    case all
    /// These, in the order in which they were asked for.
    case some([Range<Int64>])
    /// None of those asked for is there.
    case none

    /// More parts than a document viewer asks for, and few enough to be sent.
    static let limit = 16

    /// Reads a `Range` field against a size.
    ///
    /// What is malformed or in another unit is not looked at, as the standard wants it. Nor is a request for many
    /// parts, or for parts that overlap, which would make a small question a large answer: it gets everything once.
    init(_ field: String?, size: Int64) {
        self = .all
        guard let field, let equals = field.firstIndex(of: "="), field[..<equals].lowercased() == "bytes" else {
            return
        }
        var ranges: [Range<Int64>] = []
        var count = 0
        for part in field[field.index(after: equals)...].split(separator: ",") {
            let text = part.trimmingOptionalSpace
            if text.isEmpty { continue }
            count += 1
            guard let dash = text.firstIndex(of: "-"), count <= Self.limit else { return }
            let (before, behind) = (text[..<dash], text[text.index(after: dash)...])
            guard let first = Self.number(before), let last = Self.number(behind) else { return }
            switch (first, last) {
            case (nil, nil): return
            case (nil, .some(let count)):
                if count > 0, size > 0 { ranges.append(size - min(count, size)..<size) }
            case (.some(let first), let last):
                if let last, last < first { return }
                if first < size { ranges.append(first..<min(last ?? .max, size - 1) + 1) }
            }
        }
        guard count > 0 else { return }
        let inOrder = ranges.sorted { $0.lowerBound < $1.lowerBound }
        guard zip(inOrder, inOrder.dropFirst()).allSatisfy({ $0.upperBound <= $1.lowerBound }) else { return }
        self = ranges.isEmpty ? .none : .some(ranges)
    }

    /// A number; nothing, if nothing is there; nil for what is no number. Beyond what can be counted, it is the most.
    private static func number(_ text: Substring) -> Int64?? {
        if text.isEmpty { return .some(nil) }
        guard text.utf8.allSatisfy({ UInt8(ascii: "0")...UInt8(ascii: "9") ~= $0 }) else { return nil }
        return .some(Int64(text) ?? .max)
    }
}
#endif
