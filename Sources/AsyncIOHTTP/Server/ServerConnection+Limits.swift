#if HTTP
import AsyncIO
import AsyncIOLoop
import HTTPTypes

/// Until when a client may take its time. One timer looks after it, and moves only when it fires: a request that is
/// answered at once costs no timer.
struct ConnectionLimits {
    /// What is waited for from the client.
    enum Reading { case none, idle, head, body, lingering }

    var reading = Reading.none
    /// When that has to be there.
    var readingEnds = Instant.distantFuture
    /// When what is being sent has to be taken.
    var writingEnds = Instant.distantFuture
    var timer: ScheduledCall?
    var timerFires = Instant.distantFuture
    /// A limit has ended the connection.
    var hasExpired = false
    /// The connection has ended.
    var isOver = false
}

extension ServerConnection {
    func limitReading(_ reading: ConnectionLimits.Reading, to duration: Duration) {
        limit.reading = reading
        limit.readingEnds = site.loop.now.advanced(by: duration)
        if limit.readingEnds < limit.timerFires { setTimer(for: limit.readingEnds) }
    }

    func limitWriting(to duration: Duration) {
        limit.writingEnds = site.loop.now.advanced(by: duration)
        if limit.writingEnds < limit.timerFires { setTimer(for: limit.writingEnds) }
    }

    private func setTimer(for instant: Instant) {
        guard !limit.isOver else { return }
        limit.timer?.cancel()
        limit.timerFires = instant
        limit.timer = site.loop.callAt(instant) { [weak self] in self?.timerFired() }
    }

    private func timerFired() {
        limit.timer = nil
        limit.timerFires = .distantFuture
        guard !limit.isOver else { return }
        let now = site.loop.now
        if limit.writingEnds <= now { return expire { stream.abort() } }
        if limit.reading != .none && limit.readingEnds <= now {
            let reading = limit.reading
            return expire { endReading(reading) }
        }
        let next = min(limit.writingEnds, limit.reading == .none ? .distantFuture : limit.readingEnds)
        if next != .distantFuture { setTimer(for: next) }
    }

    private func expire(_ end: () -> Void) {
        limit.hasExpired = true
        limit.writingEnds = .distantFuture
        limit.reading = .none
        end()
    }

    /// The client has been waited for long enough. If it is in the middle of a request, it is told, as far as that can
    /// be done without waiting.
    private func endReading(_ reading: ConnectionLimits.Reading) {
        if reading == .lingering { return stream.close() }
        let isInRequest = parser.isInHead || parser.stage == .body && !parser.messageIsComplete
        if isInRequest && !exchange.responseHasBegun {
            putHead(of: HTTPServer.Response(HTTPError(.requestTimeout, "")), .length(0), isLast: true)
            let bytes = output
            output = []
            let sent = try? unsafe stream.tryWrite(bytes.span.bytes)
            // Where the body is waited for, a handler is told, and answers.
            if parser.isInHead { logRefusal(.requestTimeout, since: site.loop.now, isComplete: sent == bytes.count) }
        } else if exchange.responseHasBegun && !exchange.bodyIsComplete {
            return stream.abort()
        }
        stream.close()
    }
}
#endif
