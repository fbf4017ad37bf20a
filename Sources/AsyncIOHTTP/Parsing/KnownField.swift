#if HTTP
import AsyncIO
import HTTPTypes

/// Names that are met often: found without making a string.
struct KnownField {
    private let lowercased: [UInt8]

    private init(_ lowercased: String) { self.lowercased = Array(lowercased.utf8) }

    static let host = KnownField("host")
    static let expect = KnownField("expect")
    static let contentLength = KnownField("content-length")
    static let transferEncoding = KnownField("transfer-encoding")
    /// No field, but a value of one.
    static let chunked = KnownField("chunked")

    /// Whether the bytes are this name, in upper or lower case.
    func matches(_ bytes: ArraySlice<UInt8>) -> Bool { Self.isSame(bytes, lowercased) }

    // MARK: The table

    /// The name that the bytes are, if it is one of the table.
    static func name(of bytes: ArraySlice<UInt8>) -> HTTPField.Name? {
        guard let slot = table[hash(bytes)], isSame(bytes, slot.lowercased) else { return nil }
        return slot.name
    }

    private struct Slot {
        let lowercased: [UInt8]
        let name: HTTPField.Name
    }

    /// Of two names that fall on one place the first has it.
    private static let table: [Slot?] = {
        var table = [Slot?](repeating: nil, count: 256)
        for name in names {
            let lowercased = Array(name.canonicalName.utf8)
            let place = hash(lowercased[...])
            if table[place] == nil { table[place] = Slot(lowercased: lowercased, name: name) }
        }
        return table
    }()

    private static let names: [HTTPField.Name] = [
        .accept, .acceptEncoding, .acceptLanguage, .authorization, .cacheControl, .connection, .contentEncoding,
        .contentLength, .contentType, .cookie, .date, .eTag, .expect, .ifMatch, .ifModifiedSince, .ifNoneMatch,
        .lastModified, .location, .origin, .range, .referer, .server, .setCookie, .transferEncoding, .upgrade,
        .userAgent, .vary, .acceptRanges, .age, .contentRange, .contentDisposition, .secWebSocketKey,
        .secWebSocketVersion, .secWebSocketExtensions, .secWebSocketProtocol,
    ]

    @inline(__always)
    private static func hash(_ bytes: ArraySlice<UInt8>) -> Int {
        guard let first = bytes.first, let last = bytes.last else { return 0 }
        let middle = bytes[bytes.startIndex + bytes.count / 2]
        let sum = Int(first | 0x20) &* 31 &+ Int(last | 0x20) &* 7 &+ Int(middle | 0x20) &* 3 &+ bytes.count &* 11
        return sum & 255
    }

    @inline(__always)
    private static func isSame(_ bytes: ArraySlice<UInt8>, _ lowercased: [UInt8]) -> Bool {
        guard bytes.count == lowercased.count else { return false }
        var index = 0
        for byte in bytes {
            let lower = byte >= 0x41 && byte <= 0x5a ? byte | 0x20 : byte
            guard lower == lowercased[index] else { return false }
            index += 1
        }
        return true
    }
}
#endif
