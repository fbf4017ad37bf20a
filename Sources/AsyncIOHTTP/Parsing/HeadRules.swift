#if HTTP
import AsyncIO
import HTTPTypes

/// What a head must keep to besides the grammar: where two readers could see two messages, none is seen here
/// (RFC 9112 section 11.2).
enum HeadRules {
    /// What the fields say that decides on the message.
    struct Found {
        var host: String?
        var hosts = 0
        var contentLengths = 0
        var contentLength: ArraySlice<UInt8> = []
        var transferEncodings = 0
        var transferEncoding: ArraySlice<UInt8> = []
        var expectation: String?
    }

    /// The fields of the head that the parser has collected.
    static func fields(
        _ parser: HTTPParser, _ found: inout Found, hostBelongsToFields: Bool
    ) throws(HTTPError) -> HTTPFields {
        var fields = HTTPFields()
        let text = parser.text
        var begin = parser.lineEnd
        for mark in parser.marks[..<parser.headMarks] {
            let name = text[begin..<Int(mark.nameEnd)]
            let value = trimmed(text[Int(mark.nameEnd)..<Int(mark.valueEnd)])
            begin = Int(mark.valueEnd)
            switch name.count {
            case 4 where KnownField.host.matches(name):
                found.hosts += 1
                found.host = String(decoding: value, as: UTF8.self)
                guard isAuthority(value) else { throw HTTPError(.badRequest, "the Host field is no host") }
                if !hostBelongsToFields { continue }
            case 6 where KnownField.expect.matches(name):
                found.expectation = String(decoding: value, as: UTF8.self)
            case 14 where KnownField.contentLength.matches(name):
                found.contentLengths += 1
                found.contentLength = value
            case 17 where KnownField.transferEncoding.matches(name):
                found.transferEncodings += 1
                found.transferEncoding = value
            default: break
            }
            fields.append(HTTPField(name: try fieldName(name), lenientValue: value))
        }
        return fields
    }

    /// Whether the length of the body is beyond doubt.
    static func checkFraming(_ found: Found, _ version: HTTPVersion) throws(HTTPError) {
        guard found.contentLengths > 0 || found.transferEncodings > 0 else { return }
        if found.transferEncodings > 0 {
            if version == .http1_0 { throw HTTPError(.badRequest, "Transfer-Encoding in HTTP/1.0") }
            if found.contentLengths > 0 { throw HTTPError(.badRequest, "Content-Length and Transfer-Encoding") }
            guard found.transferEncodings == 1, KnownField.chunked.matches(found.transferEncoding) else {
                throw HTTPError(.badRequest, "Transfer-Encoding can be chunked, and nothing else")
            }
            return
        }
        let digits = found.contentLength
        guard found.contentLengths == 1, !digits.isEmpty, digits.allSatisfy(isDigit),
            digits.count == 1 || digits.first != 0x30
        else { throw HTTPError(.badRequest, "Content-Length is no number, or comes twice") }
    }

    /// The fields behind a body (RFC 9110 section 6.5.1): none that would change what has been read already.
    static func trailers(_ parser: HTTPParser) throws(HTTPError) -> HTTPFields {
        var fields = HTTPFields()
        let text = parser.text
        var begin = parser.headMarks == 0 ? parser.lineEnd : Int(parser.marks[parser.headMarks - 1].valueEnd)
        for mark in parser.marks[parser.headMarks...] {
            let name = text[begin..<Int(mark.nameEnd)]
            let value = trimmed(text[Int(mark.nameEnd)..<Int(mark.valueEnd)])
            begin = Int(mark.valueEnd)
            guard !KnownField.host.matches(name), !KnownField.contentLength.matches(name),
                !KnownField.transferEncoding.matches(name)
            else { throw HTTPError(.badRequest, "a field behind the body that belongs before it") }
            fields.append(HTTPField(name: try fieldName(name), lenientValue: value))
        }
        return fields
    }

    /// What a request is for (RFC 9112 section 3.2): a path with its query, `*`, or what CONNECT names. Of the absolute
    /// form the authority is taken, which must be that of `Host`.
    static func target(
        _ bytes: ArraySlice<UInt8>, of method: HTTPRequest.Method, _ authority: inout String?
    ) throws(HTTPError) -> String {
        for byte in bytes where byte <= 0x20 || byte >= 0x7f || byte == 0x23 {
            throw HTTPError(.badRequest, "a byte in the target that has to be percent-encoded")
        }
        let target = String(decoding: bytes, as: UTF8.self)
        if method == .connect {
            guard isAuthority(bytes), let colon = bytes.lastIndex(of: 0x3a), bytes[(colon + 1)...].allSatisfy(isDigit),
                colon > bytes.startIndex, colon + 1 < bytes.endIndex
            else { throw HTTPError(.badRequest, "CONNECT needs a host and a port") }
            return target
        }
        if bytes.first == 0x2f || (method == .options && target == "*") { return target }
        return try originForm(ofAbsolute: target, method, &authority)
    }

    private static func originForm(
        ofAbsolute target: String, _ method: HTTPRequest.Method, _ authority: inout String?
    ) throws(HTTPError) -> String {
        let wrong = HTTPError(.badRequest, "the target is neither a path nor a URL")
        guard
            let (scheme, port) = [("http://", ":80"), ("https://", ":443")].first(where: { pair in
                target.utf8.count > pair.0.utf8.count && target.prefix(pair.0.count).lowercased() == pair.0
            })
        else { throw wrong }
        let rest = target.dropFirst(scheme.count)
        let end = rest.firstIndex { $0 == "/" || $0 == "?" } ?? rest.endIndex
        let named = String(rest[..<end])
        guard !named.isEmpty, isAuthority(ArraySlice(named.utf8)) else { throw wrong }
        func plain(_ authority: String) -> Substring {
            let lower = authority.lowercased()
            return lower.hasSuffix(port) ? lower.dropLast(port.count) : Substring(lower)
        }
        if let host = authority, plain(host) != plain(named) {
            throw HTTPError(.badRequest, "the target names another host than the Host field")
        }
        authority = named
        let path = rest[end...]
        if path.isEmpty { return method == .options ? "*" : "/" }
        return path.first == "?" ? "/" + path : String(path)
    }

    // MARK: Bytes

    static func isDigit(_ byte: UInt8) -> Bool { byte >= 0x30 && byte <= 0x39 }

    /// tchar of RFC 9110 section 5.6.2.
    static func isTokenByte(_ byte: UInt8) -> Bool {
        switch byte {
        case 0x21, 0x23...0x27, 0x2a, 0x2b, 0x2d, 0x2e, 0x30...0x39, 0x41...0x5a, 0x5e...0x7a, 0x7c, 0x7e: true
        default: false
        }
    }

    /// Whether this may be a host, or a host and a port: nothing in it that ends it for one reader and not for another.
    /// Of RFC 3986 section 3.2, without user information.
    static func isAuthority(_ bytes: ArraySlice<UInt8>) -> Bool {
        var host = bytes
        if let colon = bytes.lastIndex(of: 0x3a), bytes.last != 0x5d {
            guard bytes[(colon + 1)...].allSatisfy(isDigit) else { return false }
            host = bytes[..<colon]
        }
        if host.first == 0x5b {
            return host.count > 2 && host.last == 0x5d && host.dropFirst().dropLast().allSatisfy(isAddressByte)
        }
        return host.allSatisfy(isNameByte)
    }

    /// Between the brackets of an address of IPv6 or of a later one.
    private static func isAddressByte(_ byte: UInt8) -> Bool { byte == 0x3a || (isNameByte(byte) && byte != 0x25) }

    /// unreserved, sub-delims, and the sign of percent-encoding.
    private static func isNameByte(_ byte: UInt8) -> Bool {
        switch byte {
        case 0x21, 0x24...0x2e, 0x30...0x39, 0x3b, 0x3d, 0x41...0x5a, 0x5f, 0x61...0x7a, 0x7e: true
        default: false
        }
    }

    /// Without the white space around it, which is spaces and tabs alone.
    private static func trimmed(_ value: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
        var value = value
        while let first = value.first, first == 0x20 || first == 0x09 { value.removeFirst() }
        while let last = value.last, last == 0x20 || last == 0x09 { value.removeLast() }
        return value
    }

    private static func fieldName(_ bytes: ArraySlice<UInt8>) throws(HTTPError) -> HTTPField.Name {
        if let known = KnownField.name(of: bytes) { return known }
        guard let name = HTTPField.Name(String(decoding: bytes, as: UTF8.self)) else {
            throw HTTPError(.badRequest, "the name of a field is no token")
        }
        return name
    }
}
#endif
