#if HTTP
import AsyncIO
import AsyncIOLoop
import HTTPTypes

extension ServerConnection {
    /// Answers what is no request, or, with its head, what is none that is taken; and ends.
    func refuse(_ error: HTTPError, _ head: HTTPRequestHead? = nil) async {
        isLast = true
        guard !exchange.responseHasBegun else { return stream.abort() }
        exchange = ExchangeState()
        // Whatever still comes of it is waited for, and dropped: the client shall read the answer.
        exchange.bodyIsComplete = false
        let begin = site.loop.now
        var isComplete = true
        do {
            try await send(HTTPServer.Response(error), to: nil)
        } catch {
            isComplete = false
            stream.abort()
        }
        logRefusal(error.status, of: head, since: begin, isComplete: isComplete)
    }

    // MARK: The access log

    /// Tells of a response that was sent, or that broke off.
    func log(
        _ request: HTTPServer.Request, _ status: HTTPResponse.Status, since begin: Instant, isComplete: Bool,
        isRefused: Bool = false
    ) {
        guard let onResponse = site.service.server.onResponse else { return }
        onResponse(
            HTTPServer.Exchange(
                request: request, status: status, bodySize: exchange.sent,
                duration: begin.duration(to: site.loop.now), isComplete: isComplete, isRefused: isRefused))
    }

    /// Tells of what no handler was asked for, with what is known of it.
    func logRefusal(
        _ status: HTTPResponse.Status, of head: HTTPRequestHead? = nil, since begin: Instant, isComplete: Bool
    ) {
        guard site.service.server.onResponse != nil else { return }
        let request: HTTPServer.Request
        if let head {
            request = HTTPServer.Request(head, body: .empty, connection: information, over: self)
        } else if let line = parser.refusedLine ?? parser.firstLine {
            request = HTTPServer.Request(line.method, line.target, connection: information)
        } else {
            request = HTTPServer.Request(.unknown, "-", connection: information)
        }
        log(request, status, since: begin, isComplete: isComplete, isRefused: true)
    }
}

extension HTTPRequest.Method {
    /// Of a request whose first line was not understood. A token, but nobody's method.
    static let unknown = HTTPRequest.Method("-") ?? .get
}
#endif
