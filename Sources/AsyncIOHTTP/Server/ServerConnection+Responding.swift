#if HTTP
import AsyncIO
import AsyncIOLoop
import HTTPTypes
import SystemPackage

extension ServerConnection {
    /// Sends a response whole; without a request, to bytes that were none. Returns the status that was sent.
    ///
    /// Throws if that could not be done: then the connection is good for nothing more.
    @discardableResult
    func send(
        _ response: HTTPServer.Response, to request: HTTPServer.Request?
    ) async throws -> HTTPResponse.Status {
        var response = response
        let isHead = request?.method == .head
        if let mistake = response.mistake {
            site.loop.report(mistake, context: "an HTTP response")
            response = HTTPServer.Response(HTTPError(.internalServerError, "the server could not answer this"))
        }
        if let takeover = response.takeover, let request, canSwitch(response, request) {
            try await handOver(response, takeover)
            return response.status
        }
        if response.takeover != nil, response.status == .switchingProtocols, request?.version == .http1_0 {
            // The client's doing (RFC 9110 section 7.8).
            response = HTTPServer.Response(HTTPError(.httpVersionNotSupported, "other protocols begin in HTTP/1.1"))
        }
        if request?.method == .connect, response.takeover == nil, response.status.kind == .successful {
            // To the client that would mean a tunnel, with whatever follows in it (RFC 9110 section 9.3.6).
            isLast = true
            response = HTTPServer.Response(HTTPError(.notImplemented, "there are no tunnels here"))
        }
        if response.takeover != nil || !(200...999).contains(response.status.code) {
            site.loop.report(ResponseMistake(status: response.status), context: "an HTTP response")
            response = HTTPServer.Response(HTTPError(.internalServerError, "the server could not answer this"))
        }
        if let marks = exchange.marks { response.add(marks) }
        if response.headerFields[.connection]?.lowercased() == "close" { isLast = true }
        // A client that was not told to send its body may still send it or not: nobody knows where the next request is.
        if exchange.expectsContinue || parser.failure != nil || bodyLeftIsMuch(request) { isLast = true }
        let framing = framing(of: response, isHead: isHead)
        // To HEAD the length is told that GET would have had.
        let begin = output.count
        exchange.hasSentSome = false
        let keepsLength = isHead && response.body.isEmpty && response.headerFields[.contentLength] != nil
        putHead(
            of: response, keepsLength || isHead && framing == .chunked && response.body.isEmpty ? .none : framing,
            isLast: isLast, keepsLength: keepsLength)
        guard !isHead, framing != .none else {
            try await flush()
            return response.status
        }
        switch response.body.content {
        case .bytes(let bytes): try await send(bytes)
        case .file(let file, let range): try await send(file, range)
        case .produced, .incoming:
            guard let failure = try await produce(response.body, framing) else { break }
            // Nothing of the response has gone yet, so another one can be sent instead.
            output.removeLast(output.count - begin)
            isLast = true
            return try await send(HTTPServer.Response(failure), to: nil)
        }
        return response.status
    }

    private func framing(of response: HTTPServer.Response, isHead: Bool) -> ResponseFraming {
        let code = response.status.code
        if code == 204 || code == 304 { return .none }
        if let length = response.body.length { return .length(length) }
        if exchange.version != .http1_0 { return .chunked }
        isLast = true
        return .untilEnd
    }

    /// More of the request's body has been announced than is read for nobody.
    private func bodyLeftIsMuch(_ request: HTTPServer.Request?) -> Bool {
        guard !exchange.bodyIsComplete, let length = request?.body.length else { return false }
        return length - parser.bodySize > Self.drainedSize
    }

    private func canSwitch(_ response: HTTPServer.Response, _ request: HTTPServer.Request) -> Bool {
        request.method == .connect
            ? response.status.kind == .successful
            : response.status == .switchingProtocols && request.version == .http1_1
    }

    // MARK: Bodies

    private func send(_ bytes: [UInt8]) async throws {
        if bytes.count <= Self.joinedSize {
            output += bytes
            try await flush()
        } else {
            try await flush()
            try await write(bytes)
        }
        exchange.sent = bytes.count
    }

    /// The kernel copies the file, where it can; in pieces, so that a client that takes nothing is noticed.
    private func send(_ file: File, _ range: Range<Int64>) async throws {
        try await flush()
        do {
            try await sendPieces(of: file, range)
        } catch let error as IOError where error.code == .noData || error.code == .ioError {
            // The file's fault and not the client's: somebody has to hear of it.
            site.loop.report(error, context: "the body of an HTTP response")
            stream.abort()
            throw error
        }
    }

    func sendPieces(of file: File, _ range: Range<Int64>) async throws {
        guard stream is TCPStream || stream is UnixStream else {
            return try await readPieces(of: file, range)
        }
        var position = range.lowerBound
        while position < range.upperBound {
            let count = Int(min(range.upperBound - position, Int64(Self.pieceSize)))
            limitWriting(to: site.limits.bodyIdleTimeout)
            try await stream.sendFile(file, from: position, count: count)
            position += Int64(count)
            exchange.sent += count
        }
        limit.writingEnds = .distantFuture
    }

    private func readPieces(of file: File, _ range: Range<Int64>) async throws {
        var position = range.lowerBound
        while position < range.upperBound {
            let wanted = Int(min(range.upperBound - position, Int64(Self.pieceSize)))
            guard let piece = try await file.read(upTo: wanted, at: position), !piece.isEmpty else {
                throw IOError(
                    .noData, operation: "send file", subject: "\(file.path)",
                    detail: "the file ended at \(position), \(range.upperBound) was promised")
            }
            try await write(piece)
            position += Int64(piece.count)
            exchange.sent += piece.count
        }
    }

    /// Returns what is to be said instead, if the body could not be made, and nothing of the response has been sent.
    private func produce(_ body: HTTPBody, _ framing: ResponseFraming) async throws -> HTTPError? {
        let writer = ResponseWriter(self, framing)
        do {
            try await body.write(to: writer)
            try await writer.end()
            return nil
        } catch {
            writer.isOver = true
            let isOurs =
                !Task.isCancelled && !limit.hasExpired && !writer.hasFailed
                && !(writer.isBroken && error is TimeoutError)
            // What the client did wrong, it is told, and nobody else.
            let told = (error as? HTTPError).flatMap { $0.status.kind == .clientError ? $0 : nil }
            if isOurs, !exchange.readFailed, told == nil {
                site.loop.report(error, context: "the body of an HTTP response")
            }
            if isOurs, !exchange.hasSentSome {
                return told ?? HTTPError(.internalServerError, "the server could not answer this")
            }
            // What was promised is not kept; the client must not take a part for the whole.
            stream.abort()
            throw error
        }
    }

    // MARK: Bytes

    /// At least so much is taken by a client in the time that it may take nothing.
    static let pieceSize = 128 << 10

    /// Sends what is in the output.
    func flush() async throws {
        var bytes: [UInt8] = []
        swap(&bytes, &output)
        if !bytes.isEmpty { exchange.hasSentSome = true }
        let sent = try writeNow(bytes)
        if sent < bytes.count { try await write(bytes, from: sent) }
        // Memory is for those that have something to say.
        bytes.removeAll(keepingCapacity: bytes.capacity <= 4096)
        if output.isEmpty { swap(&bytes, &output) }
    }

    /// Sends what is taken at once, and tells how much that was.
    func writeNow(_ bytes: [UInt8]) throws -> Int {
        guard !isBroken else { throw brokenOff }
        do { return try unsafe stream.tryWrite(bytes.span.bytes) } catch {
            isBroken = true
            throw error
        }
    }

    /// Sends bytes behind all that was sent.
    func write(_ bytes: [UInt8], from start: Int = 0) async throws {
        guard !isBroken else { throw brokenOff }
        var position = start
        exchange.hasSentSome = true
        while position < bytes.count {
            let end = min(position + Self.pieceSize, bytes.count)
            limitWriting(to: site.limits.bodyIdleTimeout)
            do { try unsafe await stream.write(bytes.span.bytes.extracting(position..<end)) } catch {
                // Part of the bytes may have gone.
                isBroken = true
                throw error
            }
            position = end
        }
        limit.writingEnds = .distantFuture
    }

    private var brokenOff: IOError {
        IOError(
            .brokenPipe, operation: "write", subject: "HTTP connection",
            detail: "an earlier write has failed or was cancelled in the middle")
    }

    // MARK: Another protocol

    /// Sends the head, and gives the connection to whoever goes on with it.
    private func handOver(
        _ response: HTTPServer.Response, _ takeover: @Sendable (any ByteStream) async throws -> Void
    ) async throws {
        isLast = true
        exchange.bodyEnds = site.loop.now.advanced(by: site.limits.bodyIdleTimeout)
        var drained = 0
        while !exchange.bodyIsComplete, let bytes = try await nextBodyBytes() {
            drained += bytes.count
            guard drained <= Self.drainedSize else { throw HTTPError.contentTooLarge(limit: Self.drainedSize) }
        }
        putHead(of: response, .none, isLast: false)
        try await flush()
        limit.reading = .none
        // Whoever has read ahead gives back what it has.
        if let ahead {
            ahead.cancel()
            await ahead.value
        }
        site.end(self)
        defer { site.begin(self) }
        let rest = parser.takeRest()
        do {
            try await takeover(rest.isEmpty ? stream : LeftoverStream(rest, before: stream))
        } catch {
            stream.abort()
            if !(error is IOError || error is CancellationError) {
                site.loop.report(error, context: "a connection that has left HTTP")
            }
            throw error
        }
    }
}

extension HTTPServer.Response {
    /// Adds fields that it does not have; to `Vary`, what it does not list.
    fileprivate mutating func add(_ marks: HTTPFields) {
        for field in marks {
            if field.name == .vary {
                HTTPServer.add(field.value, toVaryOf: &self)
            } else if headerFields[field.name] == nil {
                headerFields.append(field)
            }
        }
    }
}

/// A handler answered with what cannot be an answer.
struct ResponseMistake: Error, CustomStringConvertible {
    let status: HTTPResponse.Status

    var description: String {
        "\(status.code) is no answer to this request: that is 200 to 599, or another protocol where one was asked for"
    }
}
#endif
