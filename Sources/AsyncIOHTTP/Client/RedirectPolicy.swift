#if HTTP
public import HTTPTypes

extension HTTPClient {
    /// Which redirects a client follows (RFC 9110 section 15.4).
    ///
    /// It never takes credentials along to another origin, that is another scheme, host or port: the fields
    /// `Authorization`, `Cookie` and `Proxy-Authorization`, and those in ``secretFields``. Cookies of a ``CookieJar``
    /// are chosen anew for each place. Name and password in a `Location` are never used.
    public struct RedirectPolicy: Sendable, Hashable {
        /// How many are followed in a row; the one behind them is an error. 0: the response that redirects is returned.
        public var limit: Int
        /// Whether one that leads from `https` to `http` is followed: everybody on the way could read the rest.
        public var allowsDowngrade: Bool
        /// More fields that stay at the origin they were meant for: `X-API-Key`.
        public var secretFields: Set<HTTPField.Name>

        /// Creates a policy.
        public init(limit: Int = 10, allowsDowngrade: Bool = false, secretFields: Set<HTTPField.Name> = []) {
            self.limit = limit
            self.allowsDowngrade = allowsDowngrade
            self.secretFields = secretFields
        }

        /// Ten in a row, none from `https` to `http`.
        public static let follow = RedirectPolicy()
        /// None: the response that redirects is returned.
        public static let never = RedirectPolicy(limit: 0)
    }
}

/// What a request becomes when it is redirected. Decides, and does nothing.
struct Redirection {
    var method: HTTPRequest.Method
    var url: HTTPURL
    var fields: HTTPFields
    var keepsBody: Bool

    /// The request to make instead; nil if the response is not a redirect to follow.
    init?(
        of request: HTTPClient.Request, status: HTTPResponse.Status, fields response: HTTPFields, followed: Int,
        _ policy: HTTPClient.RedirectPolicy
    ) throws {
        guard [301, 302, 303, 307, 308].contains(status.code), policy.limit > 0 else { return nil }
        guard let location = response[.location] else { return nil }
        func refused(_ reason: HTTPClientError.Reason, _ detail: String) -> HTTPClientError {
            HTTPClientError(
                reason, subject: request.subject, detail: "\(status.code) \(status.reasonPhrase): \(detail)")
        }
        guard followed < policy.limit else {
            throw refused(
                .tooManyRedirects, "redirected more than \(policy.limit) times in a row: raise the limit, if no circle")
        }
        do {
            let target = try request.url.resolving(location)
            // A fragment is for the reader of the page, and goes along unless there is a new one (section 10.2.2).
            url = target.withoutUserInfo.with(fragment: target.fragment ?? request.url.fragment)
        } catch {
            throw refused(.redirectRefused, "it leads to no place that this client takes: \(error)")
        }
        let isDowngrade = request.url.scheme == .https && url.scheme == .http
        guard !isDowngrade || policy.allowsDowngrade else {
            throw refused(
                .redirectRefused, "it leads from https to \(url.origin): allow it, if nothing of it is secret")
        }
        method = Self.method(request.method, after: status)
        keepsBody = method == request.method
        guard !keepsBody || request.body.isReplayable || request.body.isEmpty else {
            throw refused(
                .redirectRefused,
                "the body would have to be sent again, and has been used up: give it as bytes or as a file")
        }
        self.fields = Self.fields(request, to: url, keepsBody: keepsBody, policy)
    }

    /// Section 15.4.2 to 15.4.4: for historical reasons, POST becomes GET by 301 and 302; by 303, everything does.
    private static func method(
        _ method: HTTPRequest.Method, after status: HTTPResponse.Status
    ) -> HTTPRequest.Method {
        switch status.code {
        case 301, 302: method == .post ? .get : method
        case 303: method == .head ? .head : .get
        default: method
        }
    }

    private static func fields(
        _ request: HTTPClient.Request, to url: HTTPURL, keepsBody: Bool, _ policy: HTTPClient.RedirectPolicy
    ) -> HTTPFields {
        var fields = request.headerFields
        if url.origin != request.url.origin {
            for name in [HTTPField.Name.authorization, .cookie, .proxyAuthorization, .host] { fields[name] = nil }
            for name in policy.secretFields { fields[name] = nil }
        }
        if !keepsBody {
            // What speaks of a body that is not sent (section 15.4).
            fields = HTTPFields(fields.filter { !$0.name.canonicalName.hasPrefix("content-") && $0.name != .expect })
        }
        return fields
    }
}

extension HTTPField.Name {
    /// The authority that is asked (RFC 9110 section 7.2).
    static let host = HTTPField.Name("Host") ?? .server
}
#endif
