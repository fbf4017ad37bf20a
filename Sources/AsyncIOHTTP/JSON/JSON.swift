#if HTTP
public import FoundationEssentials
import HTTPTypes

extension HTTPServer.Request {
    /// The value that the body says in JSON.
    ///
    /// The body has to be called `application/json` or `…+json`: what a form on a strange page can send is not
    /// (RFC 8259; a browser asks beforehand then).
    ///
    /// Throws ``HTTPError``: 415 for another type, 413 for more bytes than the limit, 400 for what is no JSON or
    /// another value, with the place in it; and as reading the body does.
    public func json<Value: Decodable>(
        _ type: Value.Type = Value.self, upTo limit: Int = 1 << 20, decoder: JSONDecoder = JSONDecoder()
    ) async throws -> Value {
        guard let name = contentType?.name, name == "application/json" || name.hasSuffix("+json") else {
            throw HTTPError(.unsupportedMediaType, "send the value as application/json")
        }
        return try await body.json(type, upTo: limit, decoder: decoder)
    }
}

extension HTTPServer.Response {
    /// A value, as JSON. Throws what its encoding throws.
    public static func json(
        _ value: some Encodable, status: HTTPResponse.Status = .ok, encoder: JSONEncoder = JSONEncoder()
    ) throws -> HTTPServer.Response {
        let body = try HTTPBody.json(value, encoder: encoder)
        return HTTPServer.Response(status, headerFields: [.contentType: "application/json"], body: body)
    }
}

extension HTTPBody {
    /// A value, as JSON. Throws what its encoding throws.
    public static func json(_ value: some Encodable, encoder: JSONEncoder = JSONEncoder()) throws -> HTTPBody {
        HTTPBody(Array(try encoder.encode(value)))
    }

    /// The value that the body says in JSON, whatever it is called.
    ///
    /// Throws ``HTTPError``: 413 for more bytes than the limit, 400 for what is no JSON or another value, with the
    /// place in it; and as ``bytes(upTo:)``.
    public func json<Value: Decodable>(
        _ type: Value.Type = Value.self, upTo limit: Int = 1 << 20, decoder: JSONDecoder = JSONDecoder()
    ) async throws -> Value {
        let bytes = try await bytes(upTo: limit)
        do {
            return try decoder.decode(type, from: Data(bytes))
        } catch let error as DecodingError {
            throw HTTPError(.badRequest, JSONPlace.reason(for: error))
        }
    }
}

/// What is wrong with a value, in words of JSON: a program's own types are nobody's business.
enum JSONPlace {
    static func reason(for error: DecodingError) -> String {
        switch error {
        case .keyNotFound(let key, let context):
            "\(path(context.codingPath + [key])) is missing"
        case .valueNotFound(let type, let context):
            "\(path(context.codingPath)) is null, and should be \(name(of: type))"
        case .typeMismatch(let type, let context):
            "\(path(context.codingPath)) should be \(name(of: type))"
        case .dataCorrupted(let context):
            context.codingPath.isEmpty ? "the body is not JSON" : "\(path(context.codingPath)) has no possible value"
        @unknown default:
            "the body is not what was expected"
        }
    }

    /// `rooms[2].name`; at most 200 characters, since the keys may be the sender's own.
    private static func path(_ keys: [any CodingKey]) -> String {
        var path = ""
        for key in keys {
            if let index = key.intValue {
                path += "[\(index)]"
            } else {
                path += path.isEmpty ? key.stringValue : ".\(key.stringValue)"
            }
        }
        return path.isEmpty ? "the value" : String(path.prefix(200))
    }

    private static func name(of type: any Any.Type) -> String {
        switch type {
        case is String.Type: "a string"
        case is Bool.Type: "true or false"
        case is any BinaryInteger.Type: "a whole number"
        case is any FloatingPoint.Type, is Decimal.Type: "a number"
        case is [String: Any].Type: "an object"
        case is [Any].Type: "an array"
        default: "something else"
        }
    }
}
#endif
