import SystemPackage

extension ReceivedBytes {
    /// What stands before a separator.
    public struct Delimited: Hashable, Sendable {
        /// The bytes before it.
        public let bytes: [UInt8]
        /// The separator: which one of those that were asked for.
        public let separator: [UInt8]
    }

    /// Takes what stands before the first of the separators to end, and drops the separator; nil if none is there yet.
    ///
    /// If several end at the same place, it is the longest of them. Throws ``TooLongError`` if more bytes than the
    /// limit stand before it, and ``IOError`` with `EINVAL` for no separator, or an empty one; nothing is taken then.
    public mutating func take(untilAny separators: [[UInt8]], limit: Int = 65_536) throws -> Delimited? {
        guard let (extent, index) = try find(separators, limit: limit) else { return nil }
        let found = Delimited(bytes: peek(extent.content), separator: separators[index])
        skip(extent.whole)
        return found
    }

    /// Takes what stands before the separator, and drops the separator; nil if it is not there yet. As
    /// ``take(untilAny:limit:)``.
    public mutating func take(until separator: [UInt8], limit: Int = 65_536) throws -> [UInt8]? {
        try take(untilAny: [separator], limit: limit)?.bytes
    }

    /// Where the first of the separators ends, and which one it is.
    mutating func find(_ separators: [[UInt8]], limit: Int) throws -> (Extent, Int)? {
        // Outside of the comparison: none is what a fresh value has been asked for last.
        guard !separators.isEmpty else { throw Self.noSeparator }
        if separators != self.separators {
            guard separators.allSatisfy({ !$0.isEmpty }) else {
                throw Self.noSeparator
            }
            self.separators = separators
            searched = 0
        }
        let limit = max(limit, 0)
        let longest = separators.reduce(0) { max($0, $1.count) }
        let bound = limit > Int.max - longest ? Int.max : limit + longest
        let window = min(count, bound)
        while searched < window, let end = firstEnd(of: separators, in: searched..<window) {
            if let index = longestSeparator(separators, endingAt: end) {
                searched = end
                let content = end + 1 - separators[index].count
                guard content <= limit else { throw TooLongError("part", limit: limit, length: content) }
                return (Extent(content: content, whole: end + 1), index)
            }
            searched = end + 1
        }
        searched = max(searched, window)
        if count >= bound { throw TooLongError("part before a separator", limit: limit) }
        return nil
    }

    private static var noSeparator: IOError {
        IOError(
            .invalidArgument, operation: "read until",
            detail: "it takes at least one separator, and a separator has at least one byte")
    }

    /// The first place where a last byte of one of the separators stands.
    private func firstEnd(of separators: [[UInt8]], in range: Range<Int>) -> Int? {
        guard separators.count > 1 else { return separators[0].last.flatMap { firstIndex(of: $0, in: range) } }
        // One pass for all: of a byte that never comes, each search would go to the end.
        var lastBytes = ByteSet()
        for separator in separators { if let last = separator.last { lastBytes.insert(last) } }
        return unsafe bytes.withUnsafeBytes { bytes in
            range.first { unsafe lastBytes.contains(bytes[start + $0]) }
        }
    }

    private func longestSeparator(_ separators: [[UInt8]], endingAt end: Int) -> Int? {
        var best: Int?
        for (index, separator) in separators.enumerated() where separator.count <= end + 1 {
            let begin = start + end + 1 - separator.count
            guard bytes[begin..<begin + separator.count].elementsEqual(separator) else { continue }
            if best.map({ separators[$0].count < separator.count }) ?? true { best = index }
        }
        return best
    }
}

/// Some of the 256 bytes.
private struct ByteSet {
    private var words: (UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0)

    mutating func insert(_ byte: UInt8) {
        let bit = UInt64(1) << UInt64(byte & 63)
        switch byte >> 6 {
        case 0: words.0 |= bit
        case 1: words.1 |= bit
        case 2: words.2 |= bit
        default: words.3 |= bit
        }
    }

    func contains(_ byte: UInt8) -> Bool {
        let word =
            switch byte >> 6 {
            case 0: words.0
            case 1: words.1
            case 2: words.2
            default: words.3
            }
        return word & (1 << UInt64(byte & 63)) != 0
    }
}
