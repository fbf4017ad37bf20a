import AsyncIOKernel
import AsyncIOLoop

/// One call to a host and port: who is tried, and how each attempt ended. RFC 8305 (happy eyeballs).
///
/// The system's resolver answers for both versions of the internet protocol at once, so what the RFC says about answers
/// that come one after the other has no place here.
final class Dialing: Sendable {
    /// More addresses than this are no host, but a mistake or an attack: each that is silent holds a socket.
    static let maximumAttempts = 64
    /// RFC 8305, section 8.
    static let attemptDelays = Duration.milliseconds(10)...Duration.seconds(2)

    private let host: String
    private let port: UInt16
    private let options: ConnectOptions
    private let loop: EventLoop
    private let attempts = Locked<[(address: SocketAddress, error: (any Error)?)]>([])

    init(_ host: String, _ port: UInt16, _ options: ConnectOptions, on loop: EventLoop) {
        self.host = host
        self.port = port
        self.options = options
        self.loop = loop
    }

    func connection() async throws -> TCPStream {
        guard let timeout = options.timeout else { return try await connectionWithoutLimit() }
        var limit: Deadline?
        do {
            return try await withTimeout(timeout) { deadline in
                limit = deadline
                return try await connectionWithoutLimit()
            }
        } catch let error as TimeoutError {
            // A resolver may throw such an error on its own account.
            guard limit?.hasExpired == true else { throw error }
            throw failure(after: timeout)
        }
    }

    private func connectionWithoutLimit() async throws -> TCPStream {
        let candidates = try await candidates()
        guard candidates.count > 1 else { return try await attempt(candidates[0]) }
        // On the loop's own thread, wherever the caller lives: attempts do not hop then, and their delays are the
        // loop's time.
        return try await withTaskExecutorPreference(loop) { try await race(candidates) }
    }

    /// The addresses to try, in order; at least one.
    private func candidates() async throws -> [SocketAddress] {
        let found = try await lookUp(host, port, version: options.version, resolver: options.resolver)
        guard let local = options.localAddress else { return Self.inTurns(found) }
        let reachable = found.filter { $0.family == local.family }
        guard !reachable.isEmpty else {
            let detail = "none of its addresses is of the version of \(local), which is to be called from"
            throw ResolutionError(.noAddress, subject: host, detail: detail)
        }
        return Self.inTurns(reachable)
    }

    /// The versions in turns, beginning with that of the first address, each in its own order (RFC 8305, section 4).
    static func inTurns(_ addresses: [SocketAddress]) -> [SocketAddress] {
        let first = addresses.filter { $0.family == addresses.first?.family }
        let second = addresses.filter { $0.family != addresses.first?.family }
        var mixed: [SocketAddress] = []
        for index in 0..<max(first.count, second.count) {
            if index < first.count { mixed.append(first[index]) }
            if index < second.count { mixed.append(second[index]) }
        }
        return Array(mixed.prefix(maximumAttempts))
    }

    private func race(_ candidates: [SocketAddress]) async throws -> TCPStream {
        do {
            return try await staggeredRace(candidates, delay: Self.delay(options)) {
                try await self.attempt($0)
            } discarding: {
                $0.close()
            }.value
        } catch let error as RaceError {
            // What is no error of an address (the loop has ended) is told as it is.
            if let other = error.errors.first(where: { !($0 is IOError) }) { throw other }
            throw ConnectError(target: target, attempts: failures { _ in nil })
        }
    }

    /// The delay that was asked for, within what the RFC allows.
    static func delay(_ options: ConnectOptions) -> Duration {
        min(max(options.attemptDelay, attemptDelays.lowerBound), attemptDelays.upperBound)
    }

    private func attempt(_ address: SocketAddress) async throws -> TCPStream {
        let index = attempts.withLock { attempts in
            attempts.append((address, nil))
            return attempts.count - 1
        }
        do {
            return try await TCPStream.dial(address, options, within: options.attemptTimeout, on: loop)
        } catch {
            attempts.withLock { $0[index].error = error }
            throw error
        }
    }

    // MARK: Reporting

    private var target: String { host.utf8.contains(UInt8(ascii: ":")) ? "[\(host)]:\(port)" : "\(host):\(port)" }

    /// What is to say when the time for all of it is over.
    private func failure(after timeout: Duration) -> any Error {
        let failures = failures { IOError.unanswered($0, within: timeout) }
        switch failures.count {
        case 0: return ResolutionError(.timedOut, subject: host, detail: "no answer within \(timeout)")
        case 1: return failures[0].error
        default: return ConnectError(target: target, attempts: failures)
        }
    }

    /// The attempts and their errors; those that have none of their own get one, or are left out.
    private func failures(open: (SocketAddress) -> IOError?) -> [ConnectError.Attempt] {
        attempts.withLock { $0 }.compactMap { address, error in
            guard let error = error as? IOError ?? open(address) else { return nil }
            return ConnectError.Attempt(address: address, error: error)
        }
    }
}
