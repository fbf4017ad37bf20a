#if HTTP
import AsyncIO
import HTTPTypes

/// Sends events to a client that listens: see ``HTTPServer/Response/events(keepAlive:_:)``.
public final class EventSender: Sendable {
    private let writer: any HTTPBodyWriter
    /// Events and comments come from two tasks.
    private let order = AsyncLock(name: "events")
    private let loop = EventLoop.ambient
    private let lastSent: Locked<Instant>
    private let hasEnded = Locked(false)

    init(_ writer: any HTTPBodyWriter) {
        self.writer = writer
        lastSent = Locked(loop.now)
    }

    /// Sends an event, at once, and suspends while the client does not take it. Several tasks may send.
    ///
    /// Throws ``IOError``: `EINVAL` for a kind or an id with a line end in it, and what the connection says if the
    /// client has gone; `CancellationError`.
    public func send(_ event: ServerSentEvent) async throws {
        guard let text = event.encoded else {
            throw IOError(
                .invalidArgument, operation: "send event", subject: "\(event.event ?? "") \(event.id ?? "")",
                detail: "neither the event's kind nor its id may have a line end or a zero")
        }
        try await write(text)
    }

    /// Sends an event. As ``send(_:)``.
    public func callAsFunction(
        _ data: String, event: String? = nil, id: String? = nil, retry: Duration? = nil
    ) async throws {
        try await send(ServerSentEvent(data, event: event, id: id, retry: retry))
    }

    /// Sends a comment, which the client's program does not see. As ``send(_:)``.
    public func comment(_ text: String) async throws { try await write(ServerSentEvent.comment(text)) }

    private func write(_ text: String) async throws {
        try await order.withLock { try await put(text) }
    }

    private func put(_ text: String) async throws {
        try await writer.write(text)
        try await writer.flush()
        lastSent.withLock { $0 = loop.now }
    }

    /// No comments from here on; one that is being sent is sent whole.
    func end() async throws {
        try await order.withLock { hasEnded.withLock { $0 = true } }
    }

    /// Sends empty comments where nothing else is sent, until the task is cancelled.
    func keepAlive(every interval: Duration) async throws {
        while true {
            let due = lastSent.withLock { $0 }.advanced(by: interval)
            if due > loop.now {
                try await loop.sleep(until: due)
                continue
            }
            try await order.withLock {
                if !hasEnded.withLock({ $0 }) { try await put(ServerSentEvent.comment("")) }
            }
            if hasEnded.withLock({ $0 }) { return }
        }
    }
}

extension HTTPServer.Response {
    /// Events, as long as the body sends them and the client listens.
    ///
    /// ```swift
    /// router.get("/clock") { request in
    ///     .events { send in
    ///         for await time in ticks { try await send("\(time)", event: "tick") }
    ///     }
    /// }
    /// ```
    ///
    /// Where nothing is sent for a while, a comment is, so that nobody on the way thinks the connection dead, and a
    /// client that has gone is noticed: the body is cancelled then. Caches and proxies are told not to keep anything.
    public static func events(
        keepAlive: Duration = .seconds(15), _ send: @escaping @Sendable (EventSender) async throws -> Void
    ) -> HTTPServer.Response {
        var response = HTTPServer.Response()
        response.headerFields[.contentType] = "text/event-stream"
        response.headerFields[.cacheControl] = "no-store"
        if let name = HTTPField.Name("X-Accel-Buffering") { response.headerFields[name] = "no" }
        response.body = HTTPBody { writer in
            // The head goes out now, and not with the first event.
            try await writer.flush()
            let sender = EventSender(writer)
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { try await sender.keepAlive(every: max(keepAlive, .milliseconds(1))) }
                group.addTask { try await send(sender) }
                // Only an error ends the keeper: the first to end is the body, or nobody listens any more.
                defer { group.cancelAll() }
                try await group.next()
                // A comment that is cancelled in the middle would break the response.
                try await sender.end()
            }
        }
        return response
    }
}

extension HTTPServer.Request {
    /// The last event that the client has seen, when it connects again.
    public var lastEventID: String? {
        HTTPField.Name("Last-Event-ID").flatMap { headerFields[$0] }
    }
}
#endif
