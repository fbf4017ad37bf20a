#if HTTP
import AsyncIO
import CNIOLLHTTP
import HTTPTypes

/// How many bytes follow a head (RFC 9112 section 6.3).
enum HTTPBodyLength: Equatable {
    case none
    case known(Int)
    case chunked
    /// As many as come until the connection ends: of responses alone.
    case untilEnd
}

/// What stands before the body of a request.
struct HTTPRequestHead {
    var method: HTTPRequest.Method
    /// In origin form, `*`, or the authority of CONNECT.
    var target: String
    /// Of the field `Host`, or of a target in absolute form.
    var authority: String?
    /// Without `Host`.
    var fields: HTTPFields
    var version: HTTPVersion
    var length: HTTPBodyLength
    /// Whether the connection may be used for another request.
    var keepsAlive: Bool
    var expectsContinue = false

    /// What the first line has besides its target, at most: the method's name is a known one.
    static let lineOverhead = 24

    /// Takes what the parser has collected, and checks it.
    init(_ parser: HTTPParser) throws(HTTPError) {
        version = try parser.version
        method = parser.method
        length = parser.length
        keepsAlive = parser.keepsAlive
        var found = HeadRules.Found()
        fields = try HeadRules.fields(parser, &found, hostBelongsToFields: false)
        try HeadRules.checkFraming(found, version)
        authority = found.host
        if found.hosts != 1 && (found.hosts > 1 || version != .http1_0) {
            throw HTTPError(.badRequest, found.hosts == 0 ? "no Host field" : "more than one Host field")
        }
        target = try HeadRules.target(parser.text[..<parser.lineEnd], of: method, &authority)
        if let expectation = found.expectation, version != .http1_0 {
            guard expectation.lowercased() == "100-continue" else {
                throw HTTPError(.expectationFailed, "100-continue is all that can be expected")
            }
            expectsContinue = length != .none && length != .known(0)
        }
    }

    /// By llhttp's numbers.
    fileprivate static let methods: [HTTPRequest.Method] = (0...UInt32(UInt8.max)).map { number in
        let method = llhttp_method(rawValue: number)
        guard number <= HTTP_QUERY.rawValue, let name = unsafe c_nio_llhttp_method_name(method) else { return .get }
        // A literal of llhttp's.
        return unsafe HTTPRequest.Method(String(cString: name)) ?? .get
    }
}

extension HTTPParser {
    /// 1.0 or 1.1; llhttp knows 0.9 and 2.0 as well.
    fileprivate var version: HTTPVersion {
        get throws(HTTPError) {
            guard unsafe machine.pointee.http_major == 1 else { throw .versionNotSupported }
            return unsafe machine.pointee.http_minor == 0 ? .http1_0 : .http1_1
        }
    }

    fileprivate var methodNumber: Int { unsafe Int(machine.pointee.method) }
    var method: HTTPRequest.Method { HTTPRequestHead.methods[methodNumber] }
    /// How long the method's name is.
    var methodSize: Int { HTTPRequestHead.methods[methodNumber].rawValue.utf8.count }
    fileprivate var statusCode: Int { unsafe Int(machine.pointee.status_code) }
}

/// What stands before the body of a response.
struct HTTPResponseHead {
    var status: HTTPResponse.Status
    var fields: HTTPFields
    var version: HTTPVersion
    var length: HTTPBodyLength
    /// Whether the connection may be used for another request.
    var keepsAlive: Bool

    /// Takes what the parser has collected, and checks it.
    init(_ parser: HTTPParser) throws(HTTPError) {
        version = try parser.version
        let code = parser.statusCode
        guard (100...999).contains(code) else { throw HTTPError(.badGateway, "the status \(code)") }
        status = HTTPResponse.Status(
            code: code, reasonPhrase: String(decoding: parser.text[..<parser.lineEnd], as: UTF8.self))
        length = parser.length
        keepsAlive = parser.keepsAlive
        var found = HeadRules.Found()
        fields = try HeadRules.fields(parser, &found, hostBelongsToFields: true)
        try HeadRules.checkFraming(found, version)
    }
}
#endif
