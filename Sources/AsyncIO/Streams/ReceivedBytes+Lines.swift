import Glibc

extension ReceivedBytes {
    static let lineFeed: UInt8 = 0x0a
    static let carriageReturn: UInt8 = 0x0d

    /// Where a piece ends: how long it is, and how much is to be taken.
    struct Extent {
        let content: Int
        let whole: Int
    }

    /// Takes a line without its end, LF or CR LF; nil if the end is not there yet.
    ///
    /// Throws ``TooLongError`` if the line has more bytes than the limit; nothing is taken then.
    public mutating func takeLine(limit: Int = 65_536) throws -> [UInt8]? {
        guard let line = try findLine(limit: limit) else { return nil }
        let bytes = peek(line.content)
        skip(line.whole)
        return bytes
    }

    /// Takes a line as UTF-8 text. As ``takeLine(limit:)``, and throws ``InvalidTextError`` if the text is to be
    /// rejected; nothing is taken then.
    public mutating func takeTextLine(limit: Int = 65_536, invalid: InvalidText = .replace) throws -> String? {
        guard let line = try findLine(limit: limit) else { return nil }
        let text = try self.text(line.content, invalid)
        skip(line.whole)
        return text
    }

    /// Where the first line ends; nil if that is not there yet.
    mutating func findLine(limit: Int) throws -> Extent? {
        let limit = max(limit, 0)
        // The line, and CR LF.
        let window = min(count, limit > Int.max - 2 ? Int.max : limit + 2)
        let from = searchedForLine
        if from < window {
            if let end = firstIndex(of: Self.lineFeed, in: from..<window) {
                let content = end > 0 && self[end - 1] == Self.carriageReturn ? end - 1 : end
                // A longer one is found again by whoever comes with a larger limit.
                searchedForLine = end
                guard content <= limit else { throw TooLongError("line", limit: limit, length: content) }
                return Extent(content: content, whole: end + 1)
            }
            searchedForLine = window
        }
        // Without its end so far. A CR at the last place may belong to it.
        let isTooLong = window > limit && (window > limit + 1 || self[limit] != Self.carriageReturn)
        if isTooLong { throw TooLongError("line", limit: limit) }
        return nil
    }

    /// What is left at the end of the data counts as a line. Throws as ``findLine(limit:)``.
    func lastLine(limit: Int) throws -> Extent {
        guard count <= max(limit, 0) else { throw TooLongError("line", limit: max(limit, 0), length: count) }
        return Extent(content: count, whole: count)
    }

    func firstIndex(of byte: UInt8, in range: Range<Int>) -> Int? {
        unsafe bytes.withUnsafeBytes { bytes in
            guard let base = bytes.baseAddress else { return nil }
            let from = unsafe base + (start + range.lowerBound)
            guard let place = unsafe memchr(from, CInt(byte), range.count) else { return nil }
            return unsafe range.lowerBound + (UnsafeRawPointer(place) - from)
        }
    }
}
