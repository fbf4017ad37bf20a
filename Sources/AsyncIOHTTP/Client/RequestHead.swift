#if HTTP
import HTTPTypes

/// How the end of a body is told (RFC 9112 section 6).
enum BodyFraming: Equatable {
    /// There is none, and nobody expects one.
    case none
    case length(Int)
    case chunked

    init(_ request: HTTPClient.Request) {
        switch request.body.length {
        case 0? where !request.method.expectsBody: self = .none
        case let length?: self = .length(length)
        case nil: self = .chunked
        }
    }
}

/// The head of a request, as it goes over the connection.
struct RequestHead {
    let target: String
    let authority: String
    let fields: HTTPFields
    let method: HTTPRequest.Method
    let framing: BodyFraming
    var expectsContinue: Bool
    /// The protocol that is to be spoken instead (RFC 9110 section 7.8).
    var upgrade: String?

    /// Whether the connection is not to be used any more.
    var asksForClose: Bool { fields[.connection] != nil }

    /// Refuses what contradicts itself, or would be two requests to somebody.
    static func check(_ request: HTTPClient.Request) throws {
        func invalid(_ detail: String) -> HTTPClientError {
            HTTPClientError(.invalidRequest, subject: request.subject, detail: detail)
        }
        guard request.method != .connect else { throw invalid("CONNECT is made by the client itself: give it a proxy") }
        guard request.method != .trace || request.body.isEmpty else {
            throw invalid("TRACE has no body (RFC 9110 section 9.3.8): leave it out")
        }
        if let length = request.headerFields[.contentLength] {
            guard let known = request.body.length, length == String(known) else {
                throw invalid("Content-Length is the body's own: give the body its length, and leave the field out")
            }
        }
        for field in request.headerFields {
            switch field.name.canonicalName {
            case "transfer-encoding", "expect":
                throw invalid("\(field.name) is the client's own: leave it out")
            case "proxy-authorization":
                throw invalid("Proxy-Authorization is for the proxy alone: put name and password into its URL")
            case "connection", "keep-alive", "proxy-connection", "upgrade", "te":
                guard field.name == .connection, field.value.lowercased() == "close" else {
                    throw invalid("\(field.name) belongs to the connection, which is the client's own: leave it out")
                }
            default: break
            }
        }
    }

    /// Sets a field to what a program has given as a text.
    static func set(
        _ name: HTTPField.Name, to value: String, of request: HTTPClient.Request, in fields: inout HTTPFields
    ) throws {
        do { try fields.set(name, to: value) } catch {
            throw HTTPClientError(.invalidRequest, subject: request.subject, detail: "\(error)")
        }
    }

    /// The bytes, up to the empty line. Values of fields have no CR, LF and NUL: swift-http-types sees to that; nor
    /// has anything that is part of an ``HTTPURL``.
    var bytes: [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(512)
        bytes += "\(method.rawValue) \(target) HTTP/1.1\r\nHost: \(authority)\r\n".utf8
        for field in fields where ![.host, .contentLength, .cookie].contains(field.name) {
            Self.append(field, to: &bytes)
        }
        // HTTPFields keeps cookies apart, as HTTP/2 likes them; here they are one field (RFC 6265 section 5.4).
        if let cookies = fields[.cookie] { bytes += "Cookie: \(cookies)\r\n".utf8 }
        switch framing {
        case .none: break
        case .length(let length): bytes += "Content-Length: \(length)\r\n".utf8
        case .chunked: bytes += "Transfer-Encoding: chunked\r\n".utf8
        }
        if let upgrade { bytes += "Connection: Upgrade\r\nUpgrade: \(upgrade)\r\n".utf8 }
        if expectsContinue { bytes += "Expect: 100-continue\r\n".utf8 }
        bytes += "\r\n".utf8
        return bytes
    }

    static func append(_ field: HTTPField, to bytes: inout [UInt8]) {
        bytes += field.name.rawName.utf8
        bytes += ": ".utf8
        unsafe field.withUnsafeBytesOfValue { unsafe bytes += $0 }
        bytes += "\r\n".utf8
    }
}
#endif
