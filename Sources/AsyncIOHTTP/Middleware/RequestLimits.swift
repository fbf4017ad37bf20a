#if HTTP
import AsyncIO
import HTTPTypes

extension HTTPServer {
    /// Gives a request so much time until its answer begins: 503 and a cancelled handler beyond.
    ///
    /// What the content takes is left to the server's own limits, since contents may be made for hours.
    public static func deadline(_ timeout: Duration) -> Middleware {
        { request, next in
            let expiration = EventLoop.ambient.now.advanced(by: timeout)
            do {
                return try await withDeadline(expiration) { try await next(request) }
            } catch let error as TimeoutError where error.expiration == expiration {
                throw HTTPError(.serviceUnavailable, "no answer within \(timeout)")
            }
        }
    }

    /// Takes at most so many bytes of a request's body: 413 beyond, before anything is read where the length is known,
    /// and from the reading otherwise.
    public static func bodyLimit(_ limit: Int) -> Middleware {
        { request, next in
            if let length = request.body.length {
                guard length <= limit else { throw HTTPError.contentTooLarge(limit: limit) }
                return try await next(request)
            }
            var request = request
            request.body = HTTPBody(incoming: LimitedBody(request.body, limit: limit), length: nil)
            return try await next(request)
        }
    }

    /// Answers errors with pages of your own: of handlers, and of everything else that stands behind it.
    ///
    /// What is no ``HTTPError`` becomes a 500 that says nothing of it, and is told to `report` before: it is the
    /// program's own mistake. A cancelled task stays cancelled.
    public static func errorPages(
        report: @escaping @Sendable (any Error, Request) -> Void,
        _ page: @escaping @Sendable (HTTPError, Request) async throws -> Response
    ) -> Middleware {
        { request, next in
            let error: HTTPError
            do {
                return try await next(request)
            } catch let thrown as HTTPError {
                error = thrown
            } catch let thrown where thrown is CancellationError || Task.isCancelled {
                throw thrown
            } catch let thrown {
                report(thrown, request)
                error = HTTPError(.internalServerError, "something went wrong here")
            }
            var response = try await page(error, request)
            // What belongs to the status, unless the page knows better.
            for field in error.headerFields where response.headerFields[field.name] == nil {
                response.headerFields.append(field)
            }
            return response
        }
    }
}

/// A body that is read up to a limit. Whatever changes is touched by whoever has the turn.
private final class LimitedBody: IncomingBody, @unchecked Sendable {
    private let turn = ReadingTurn("request body")
    private let body: HTTPBody
    private let limit: Int
    private var pieces: HTTPBody.AsyncIterator
    private var count = 0

    init(_ body: HTTPBody, limit: Int) {
        self.body = body
        self.limit = limit
        pieces = body.makeAsyncIterator()
    }

    func next() async throws -> [UInt8]? {
        try await turn.alone {
            guard let piece = try await pieces.next() else { return nil }
            guard piece.count <= limit - count else { throw HTTPError.contentTooLarge(limit: limit) }
            count += piece.count
            return piece
        }
    }

    var trailerFields: HTTPFields? { body.trailerFields }
}
#endif
