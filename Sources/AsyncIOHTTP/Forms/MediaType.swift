#if HTTP
/// The value of a field with parameters (RFC 9110 sections 5.6.6 and 8.3): `multipart/form-data; boundary="x"`.
struct MediaType {
    /// In front of the parameters, in small letters.
    let name: String
    /// The parameters; their names in small letters, their values without quotes. The first of a name counts.
    private(set) var parameters: [String: String] = [:]

    /// Nil for what is malformed.
    init?(_ text: String) {
        var rest = Array(text.utf8)[...]
        guard let name = Self.word(&rest, until: { $0 == UInt8(ascii: ";") }), !name.isEmpty else { return nil }
        self.name = name.lowercased()
        while rest.popFirst() != nil {
            Self.skipSpace(&rest)
            // An empty parameter is none.
            if rest.isEmpty || rest.first == UInt8(ascii: ";") { continue }
            guard let key = Self.word(&rest, until: { $0 == UInt8(ascii: "=") || $0 == UInt8(ascii: ";") }),
                !key.isEmpty,
                rest.popFirst() == UInt8(ascii: "="), let value = Self.value(&rest)
            else { return nil }
            Self.skipSpace(&rest)
            guard rest.isEmpty || rest.first == UInt8(ascii: ";") else { return nil }
            if parameters[key.lowercased()] == nil { parameters[key.lowercased()] = value }
        }
    }

    private static func skipSpace(_ rest: inout ArraySlice<UInt8>) {
        rest = rest.drop { $0 == UInt8(ascii: " ") || $0 == UInt8(ascii: "\t") }
    }

    private static func word(_ rest: inout ArraySlice<UInt8>, until ends: (UInt8) -> Bool) -> String? {
        let end = rest.firstIndex(where: ends) ?? rest.endIndex
        defer { rest = rest[end...] }
        return String(validating: rest[..<end], as: UTF8.self).map { $0.trimmed }
    }

    /// A token, or what stands in quotes. In quotes, `\"` is a quote; other backslashes are themselves, as browsers
    /// send them.
    private static func value(_ rest: inout ArraySlice<UInt8>) -> String? {
        guard rest.first == UInt8(ascii: "\"") else { return word(&rest) { $0 == UInt8(ascii: ";") } }
        rest.removeFirst()
        var bytes: [UInt8] = []
        while let byte = rest.popFirst() {
            if byte == UInt8(ascii: "\"") { return String(validating: bytes, as: UTF8.self) }
            if byte == UInt8(ascii: "\\"), rest.first == UInt8(ascii: "\"") {
                bytes.append(UInt8(ascii: "\""))
                rest.removeFirst()
            } else {
                bytes.append(byte)
            }
        }
        return nil
    }
}
#endif
