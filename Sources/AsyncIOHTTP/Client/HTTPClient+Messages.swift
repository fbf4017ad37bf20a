#if HTTP
public import HTTPTypes

extension HTTPClient {
    /// What is asked of a server.
    public struct Request: Sendable {
        /// GET, POST, …
        public var method: HTTPRequest.Method
        /// What is asked for.
        public var url: HTTPURL
        /// The fields of the head. `Host`, `Content-Length`, `Transfer-Encoding` and `Connection` are the client's own:
        /// a `Host` that stands here is sent instead of the URL's, the others are refused.
        ///
        /// CR, LF and NUL in a value become blanks without a word, by swift-http-types: set what comes from elsewhere
        /// by `try headerFields.set(_:to:)`, which throws.
        public var headerFields: HTTPFields
        /// The content.
        public var body: HTTPBody
        /// How long each phase may take; nil: what the client is configured with.
        public var timeouts: Timeouts?
        /// Which redirects are followed; nil: what the client is configured with.
        public var redirects: RedirectPolicy?
        /// Whether the body waits until the server has said that it wants it, by `Expect: 100-continue` (RFC 9110
        /// section 10.1.1): for bodies that are large, and servers that may refuse them.
        public var expectsContinue = false
        /// Is told how far the request has come, in the task that sends or reads. It must be quick.
        public var progress: (@Sendable (Progress) -> Void)?

        /// Creates a request.
        public init(
            _ method: HTTPRequest.Method = .get, _ url: HTTPURL, headerFields: HTTPFields = [:],
            body: HTTPBody = .empty
        ) {
            self.method = method
            self.url = url
            self.headerFields = headerFields
            self.body = body
        }

        /// Creates a request. Throws ``HTTPClientError`` for a text that is no URL.
        public init(
            _ method: HTTPRequest.Method = .get, _ url: String, headerFields: HTTPFields = [:], body: HTTPBody = .empty
        ) throws {
            self.init(method, try HTTPURL(url), headerFields: headerFields, body: body)
        }

        /// For errors: without what may be secret.
        var subject: String { "\(method.rawValue) \(url.subject)" }
    }

    /// What a server answers.
    public struct Response: Sendable {
        /// 200, 404, …
        public var status: HTTPResponse.Status
        /// The version of HTTP that the server speaks.
        public var version: HTTPVersion
        /// The fields of the head. Where the body was decoded, `Content-Encoding` and `Content-Length` are gone.
        public var headerFields: HTTPFields
        /// The content, which is read as it is asked for. As long as it has not been read to its end, the response
        /// holds its connection; letting go of it closes that.
        public var body: HTTPBody
        /// What was asked for in the end, after all redirects.
        public var url: HTTPURL
        /// What was asked for before, and led here.
        public var history: [Hop] = []

        /// One redirect.
        public struct Hop: Sendable, Hashable {
            /// The place that redirected.
            public var url: HTTPURL
            /// By this status.
            public var status: HTTPResponse.Status
        }

        /// Returns the response if its status is 2xx; throws ``HTTPClientError`` otherwise
        /// (``HTTPClientError/Reason/unexpectedStatus(_:)``).
        @discardableResult
        public func expectSuccess() throws -> Response {
            guard status.kind != .successful else { return self }
            throw HTTPClientError(
                .unexpectedStatus(status.code), subject: url.subject,
                detail: "\(status.code) \(status.reasonPhrase)")
        }
    }
}

extension HTTPRequest.Method {
    /// Whether doing it twice does no more than doing it once (RFC 9110 section 9.2.2).
    var isIdempotent: Bool {
        switch self {
        case .get, .head, .options, .put, .delete, .trace: true
        default: false
        }
    }

    /// Whether a length of zero is told (RFC 9110 section 8.6): where a body is expected.
    var expectsBody: Bool { self == .post || self == .put || self == .patch }
}
#endif
