#if HTTP
public import HTTPTypes

/// A value that cannot stand in a field: with CR, LF or NUL, its reader would find the end of the field or of the
/// message in it (RFC 9110 section 5.5).
public struct InvalidFieldValue: Error, Sendable, Hashable, CustomStringConvertible {
    /// Of the field.
    public let name: HTTPField.Name
    /// Which byte of the value is the first one that cannot be there.
    public let offset: Int

    /// `a value for Location has CR, LF or NUL at byte 12, and would be read as the end of the field: …`.
    public var description: String {
        "a value for \(name) has CR, LF or NUL at byte \(offset), and would be read as the end of the field: "
            + "encode or refuse what comes from elsewhere"
    }
}

extension HTTPField {
    /// A field whose value comes from elsewhere: throws ``InvalidFieldValue`` for CR, LF and NUL.
    ///
    /// swift-http-types' own initializers and subscripts put blanks in their place without a word. No field is sent
    /// with them in any case; with this, whoever sets one hears of it.
    public init(_ name: Name, checking value: String) throws(InvalidFieldValue) {
        var offset = 0
        for byte in value.utf8 {
            if byte == 0x0d || byte == 0x0a || byte == 0 { throw InvalidFieldValue(name: name, offset: offset) }
            offset += 1
        }
        self.init(name: name, value: value)
    }
}

extension HTTPFields {
    /// Sets a field to a value that comes from elsewhere, in place of those of the same name.
    ///
    /// Throws ``InvalidFieldValue`` for CR, LF and NUL, and changes nothing then. A subscript puts blanks in their
    /// place without a word.
    ///
    /// ```swift
    /// try response.headerFields.set(.contentDisposition, to: "attachment; filename=\"\(name)\"")
    /// ```
    public mutating func set(_ name: HTTPField.Name, to value: String) throws(InvalidFieldValue) {
        self[fields: name] = [try HTTPField(name, checking: value)]
    }
}
#endif
