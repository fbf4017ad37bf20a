package import AsyncIO
import AsyncIOKernel
package import AsyncIOLoop

/// Passes connections on, and keeps account of them.
package final class Proxy: Sendable {
    private let target: Endpoint
    private let connectTimeout: Duration
    private let idleTimeout: Duration?
    /// One for each loop: a connection touches its own loop's only.
    private let ledgers: [(loop: EventLoop, ledger: ProxyLedger)]
    private let began = Instant.monotonicNow
    /// A name is not looked up for each connection.
    private let resolver = CachingResolver(SystemResolver())
    private let lastReport = Locked<Instant?>(nil)

    package init(to target: Endpoint, connectTimeout: Duration, idleTimeout: Duration?, loops: [EventLoop]) {
        self.target = target
        self.connectTimeout = connectTimeout
        self.idleTimeout = idleTimeout
        ledgers = loops.map { ($0, ProxyLedger()) }
    }

    /// Connects to the server, and copies both ways until both sides have finished.
    package func pass(on client: some ByteStream) async {
        let ledger = (ledgers.first { $0.loop.isCurrent } ?? ledgers[0]).ledger
        let entry = ledger.open()
        defer { ledger.close(entry) }
        let server: any ByteStream
        do {
            server = try await target.connect(within: connectTimeout, resolver: resolver)
        } catch {
            client.abort()
            if error is CancellationError { return }
            ledger.countFailure()
            return report(error)
        }
        defer { server.close() }
        do {
            try await copyBidirectional(
                client, server, idleTimeout: idleTimeout, counting: (entry.forward, entry.backward))
        } catch {
            // Both sides are broken off already. That one of them was the first to break off is no news.
            if !(error is CancellationError) { ledger.countBreak() }
        }
    }

    /// A server that cannot be reached fails every connection: one line a second is enough.
    private func report(_ error: any Error) {
        let now = EventLoop.current?.now ?? .monotonicNow
        let isDue = lastReport.withLock { last in
            if let last, last.duration(to: now) < .seconds(1) { return false }
            last = now
            return true
        }
        if isDue { EventLoop.current?.report(error, context: "proxy") }
    }

    /// What has gone through so far, in one line.
    package var statistics: String {
        let all = ledgers.map { $0.ledger.account }.reduce(into: ProxyLedger.Account()) { $0.add($1) }
        let seconds = began.duration(to: .monotonicNow).components.seconds
        return """
            \(all.opened) connections in \(seconds) s, \(all.opened - all.closed) open, \(all.broken) broken off, \
            \(all.failed) without a server; \(all.forward) bytes there, \(all.backward) bytes back
            """
    }
}

/// The connections of one loop. Locked when one comes or goes, not while it lasts.
final class ProxyLedger: Sendable {
    struct Account {
        var opened = 0
        var closed = 0
        var failed = 0
        var broken = 0
        var forward = 0
        var backward = 0

        mutating func add(_ other: Account) {
            opened += other.opened
            closed += other.closed
            failed += other.failed
            broken += other.broken
            forward += other.forward
            backward += other.backward
        }
    }

    /// An open connection.
    final class Entry: Sendable {
        let forward = ByteCounter()
        let backward = ByteCounter()
    }

    /// The account of those that have ended, and the others.
    private let state = Locked((ended: Account(), open: [ObjectIdentifier: Entry]()))

    func open() -> Entry {
        let entry = Entry()
        state.withLock { state in
            state.ended.opened += 1
            state.open[ObjectIdentifier(entry)] = entry
        }
        return entry
    }

    func close(_ entry: Entry) {
        state.withLock { state in
            state.open[ObjectIdentifier(entry)] = nil
            state.ended.closed += 1
            state.ended.forward += entry.forward.count
            state.ended.backward += entry.backward.count
        }
    }

    func countFailure() { state.withLock { $0.ended.failed += 1 } }
    func countBreak() { state.withLock { $0.ended.broken += 1 } }

    var account: Account {
        state.withLock { state in
            var account = state.ended
            for entry in state.open.values {
                account.forward += entry.forward.count
                account.backward += entry.backward.count
            }
            return account
        }
    }
}
