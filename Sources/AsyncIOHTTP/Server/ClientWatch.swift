#if HTTP
import AsyncIO
import AsyncIOLoop

/// What is known of a client whose handler takes its time.
///
/// That a client sends nothing more says little: it may have gone, or it may be one that has said all and waits for the
/// answer (RFC 9112 section 9.6 lets it). TCP cannot tell the two apart before something is sent. So something is: an
/// interim response, which a client that has gone answers with a reset, and which one that waits skips (RFC 9110
/// section 15.2). Where none can be sent, to HTTP/1.0 and in the middle of a response, a client that had finished right
/// behind its request counts as waiting, and one that finishes later as gone.
struct ClientWatch {
    /// How often the client was looked after.
    var looks = 0
    /// The client had finished when it was first looked after.
    var finishedEarly = false
    var wasProbed = false
}

extension ServerConnection {
    /// The handler is at work for a while now: its client is looked after, by reading ahead.
    func lookAfterClient() {
        guard ahead == nil, !isReading, aheadFailure == nil else { return }
        watch.looks += 1
        if peerHasFinished {
            watch.finishedEarly = watch.finishedEarly || watch.looks == 1
            doubt()
        }
        if watch.wasProbed { return lookForReset() }
        guard parser.unparsedCount < site.limits.pipelinedSize, !peerHasFinished else { return }
        let isFirst = watch.looks == 1
        let begin = site.loop.now
        ahead = site.loop.startTask(named: "HTTP client watch") { [self] in
            let result: Result<[UInt8]?, any Error>
            do { result = .success(try await stream.read(upTo: Self.readSize)) } catch { result = .failure(error) }
            ahead = nil
            switch result {
            case .success(let bytes?):
                parser.feed(bytes)
            case .success(nil):
                guard !peerHasFinished else { return }
                peerHasFinished = true
                guard isAtWork else { return }
                // The read may have waited for hours: only what was there already came right behind the request.
                watch.finishedEarly = isFirst && begin.duration(to: site.loop.now) < Self.early
                doubt()
            case .failure(is CancellationError):
                break
            case .failure(let error):
                aheadFailure = error
                clientHasGone()
            }
        }
    }

    /// What is found within this time by the first look was there before.
    private static let early = Duration.milliseconds(50)

    /// The client has finished: has it gone?
    private func doubt() {
        if information.isSecure { return clientHasGone() }
        guard exchange.version == .http1_1 && !exchange.responseHasBegun else {
            if !watch.finishedEarly { clientHasGone() }
            return
        }
        guard !watch.wasProbed else { return }
        do {
            let probe = Array("HTTP/1.1 100 Continue\r\n\r\n".utf8)
            let sent = try unsafe stream.tryWrite(probe.span.bytes)
            // Where there is no room now, the next look tries again.
            if sent == 0 { return }
            watch.wasProbed = true
            // Half of it is no begin for a response.
            if sent < probe.count {
                stream.abort()
                clientHasGone()
            }
        } catch {
            aheadFailure = error
            clientHasGone()
        }
    }

    /// Whether the client has answered the probe with a reset.
    private func lookForReset() {
        guard let stream = stream as? TCPStream else { return }
        ahead = site.loop.startTask(named: "HTTP client watch") { [self] in
            let hasBroken = await stream.hasBroken
            ahead = nil
            if hasBroken && !Task.isCancelled { clientHasGone() }
        }
    }

    /// Nobody waits for the answer.
    private func clientHasGone() {
        isLast = true
        guard isAtWork else { return }
        // The task is alive while the connection is among those at work.
        unsafe task?.cancel()
    }
}
#endif
