#if HTTP
/// What tells one state of a resource from another (RFC 9110 section 8.8.3): `"5f-60c"`, `W/"5f-60c"`.
public struct EntityTag: Sendable, Hashable, CustomStringConvertible {
    /// What stands between the quotes.
    public let value: String
    /// Whether equal tags only mean that the contents say the same, and not that all bytes are equal.
    public let isWeak: Bool

    /// A tag. What cannot stand between the quotes is replaced by `_`.
    public init(_ value: String, isWeak: Bool = false) {
        let bytes = value.utf8.map { Self.isAllowed($0) ? $0 : UInt8(ascii: "_") }
        self.value = String(decoding: bytes, as: UTF8.self)
        self.isWeak = isWeak
    }

    /// As it is sent.
    public var description: String { "\(isWeak ? "W/" : "")\"\(value)\"" }

    /// The same, weak: for the same content in another coding.
    var weak: EntityTag { EntityTag(value, isWeak: true) }

    /// Whether both mean the same bytes (RFC 9110 section 8.8.3.2).
    func isStrongly(_ other: EntityTag) -> Bool { !isWeak && !other.isWeak && value == other.value }

    /// Reads the tag that a field has.
    init?(parsing text: String) {
        guard let list = Self.list(text), list.count == 1 else { return nil }
        self = list[0]
    }

    /// Reads a list of tags, which may have commas in them; nil for what is none.
    static func list(_ text: String) -> [EntityTag]? {
        var rest = Array(text.utf8)[...]
        var tags: [EntityTag] = []
        var mayFollow = true
        while let byte = rest.first {
            if byte == UInt8(ascii: ",") || byte == UInt8(ascii: " ") || byte == UInt8(ascii: "\t") {
                if byte == UInt8(ascii: ",") { mayFollow = true }
                rest.removeFirst()
                continue
            }
            guard mayFollow else { return nil }
            mayFollow = false
            let isWeak = rest.starts(with: "W/".utf8)
            if isWeak { rest.removeFirst(2) }
            guard rest.popFirst() == UInt8(ascii: "\""), let end = rest.firstIndex(of: UInt8(ascii: "\"")) else {
                return nil
            }
            guard rest[..<end].allSatisfy(isAllowed) else { return nil }
            tags.append(EntityTag(String(decoding: rest[..<end], as: UTF8.self), isWeak: isWeak))
            rest = rest[(end + 1)...]
        }
        return tags
    }

    private static func isAllowed(_ byte: UInt8) -> Bool {
        byte == 0x21 || (0x23...0x7e).contains(byte) || byte >= 0x80
    }
}
#endif
