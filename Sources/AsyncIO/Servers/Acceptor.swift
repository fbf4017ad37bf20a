import AsyncIOKernel
import AsyncIOLoop
import Synchronization
import SystemPackage

/// Takes one connection after the other from a server's source, through whatever accept(2) reports. In the server's
/// task, on its loop.
struct Acceptor {
    private let server: ServerCore
    private let plan: ServePlan
    /// Why accepting has ended, if not by a shutdown.
    private(set) var failure: (any Error)?
    private var failuresInARow = 0
    private var lastReport: Instant?
    /// Connections that were there already, one after the other.
    private var inThisTurn = 0
    private var turn = 0
    /// Connections that were taken out of the kernel's queue after the end had begun.
    private var drained = 0
    private var isDone: Bool { server.table.isStopped || (server.table.isDraining && drained >= server.backlog) }

    /// How many connections are accepted before all that is ready has its turn: a storm of them must not keep the
    /// others from being served, nor take more than its share from other processes that listen on the same socket.
    static let acceptsPerTurn = 16

    init(server: ServerCore, plan: ServePlan) {
        self.server = server
        self.plan = plan
    }

    /// The next connection; nil when there will be none.
    mutating func next() async -> StreamCore? {
        do {
            switch server.source {
            case .socket: return try await nextOfOurs()
            case .otherLoop: return try await nextOfOthers()
            }
        } catch {
            failure = error is CancellationError ? nil : error
            return nil
        }
    }

    // MARK: A listening socket

    /// Accepts until a connection is for this loop.
    private mutating func nextOfOurs() async throws -> StreamCore? {
        while true {
            try Task.checkCancellation()
            // What the end has found in the kernel's queue. It counts for the limit already.
            if let connection = server.table.nextArrival() {
                inThisTurn += 1
                return connection
            }
            // What is left then is refused.
            if isDone { return nil }
            // What waits beyond the limit waits in the kernel's queue.
            try await plan.limit?.room { server.table.isStopped || server.table.hasArrivals }
            if server.table.isStopped || server.table.hasArrivals { continue }
            guard let connection = try await accept() else { continue }
            plan.limit?.enter()
            // The other loops may have been told already that nothing more comes.
            if server.table.isStopped || server.table.isDraining || keeps(connection) { return connection }
        }
    }

    /// Accepts one connection; nil if it is time to look around.
    private mutating func accept() async throws -> StreamCore? {
        let loop = server.loop
        if inThisTurn >= Self.acceptsPerTurn {
            inThisTurn = 0
            await EventLoop.yield()
            return nil
        }
        let operation = Operation.accept(server.handle)
        let outcome: Outcome
        if server.table.isDraining {
            guard let waited = nextThatWaits() else { return nil }
            inThisTurn += 1
            outcome = waited
        } else {
            switch loop.begin(operation) {
            case .ended(let ended):
                inThisTurn += 1
                outcome = ended
            case let begun:
                inThisTurn = 0
                // A shutdown that drains ends the wait early.
                if case .waits(let token) = begun { server.table.sleeper = token }
                outcome = await loop.finish(operation, begun)
                server.table.sleeper = nil
            }
        }
        if outcome.result >= 0 {
            failuresInARow = 0
            return StreamCore(accepted: outcome, on: loop)
        }
        try await survive(outcome)
        return nil
    }

    /// The next one of the kernel's queue while the server drains; nil, and the socket is closed, when it is empty. At
    /// most as many as the queue holds, since those who find a Unix socket without its file may go on coming.
    private mutating func nextThatWaits() -> Outcome? {
        if let outcome = server.takeOneThatWaits() {
            if outcome.result >= 0 { drained += 1 }
            return outcome
        }
        server.table.isStopped = true
        server.close()
        return nil
    }

    /// Whether this loop serves the connection; hands it over otherwise, as its turn comes.
    private mutating func keeps(_ connection: StreamCore) -> Bool {
        guard plan.turns.count > 1 else { return true }
        turn = (turn + 1) % plan.turns.count
        let target = plan.turns[turn]
        if target === server { return true }
        let plan = plan
        guard let parcel = Parcel(connection) else {
            connection.close()
            target.refuse(plan)
            return false
        }
        // One entry in its inbox; and one wake-up, if it sleeps, for however many follow before it is awake.
        if target.loop.callSoon({ target.take(parcel, plan) }).isCancelled { target.refuse(plan) }
        return false
    }

    // MARK: Errors

    /// Waits or goes on after an error that a server survives; throws others.
    private mutating func survive(_ outcome: Outcome) async throws {
        let loop = server.loop
        let code = Errno(negated: outcome.result)
        if Self.severity(of: code) == .closed {
            // The shutdown has closed it, or has ended the wait.
            if (server.table.isStopped || server.table.isDraining) && !Task.isCancelled { return }
            try loop.check(outcome, "accept", "\(server.address)")
        }
        server.counts.acceptErrors.add(1, ordering: .relaxed)
        failuresInARow += 1
        switch Self.severity(of: code) {
        case .connection where failuresInARow < 16:
            break
        case .connection:
            // Not one connection but all of them: do not spin, and do not hide it.
            report(code, "every connection fails; accepting goes on slowly")
            try await loop.sleep(for: .milliseconds(20))
        case .exhaustion:
            report(code, "accepting pauses until some are free")
            try await loop.sleep(for: .milliseconds(20))
        case .listener where failuresInARow < 50:
            // Perhaps the kernel's mood, perhaps the end: a second will tell.
            try await loop.sleep(for: .milliseconds(20))
        case .listener, .closed:
            throw IOError(
                code, operation: "accept", subject: "\(server.address)",
                detail: "\(code); the socket does not listen any more, \(failuresInARow) tries in a second say")
        }
    }

    private enum Severity { case connection, exhaustion, listener, closed }

    /// accept(2), "Error handling": errors of the network belong to the one connection.
    private static func severity(of code: Errno) -> Severity {
        switch code {
        case .tooManyOpenFiles, .tooManyOpenFilesInSystem, .noBufferSpace, .noMemory, .noSpace: .exhaustion
        case .notSocket, .invalidArgument, .badAddress: .listener
        // Never tried again: the number may be another one's next time.
        case .badFileDescriptor, .canceled, .resourceBusy, .loopClosed: .closed
        default: .connection
        }
    }

    /// At most once a second.
    private mutating func report(_ code: Errno, _ consequence: String) {
        let now = server.loop.now
        if let lastReport, lastReport.duration(to: now) < .seconds(1) { return }
        lastReport = now
        let error = IOError(
            code, operation: "accept", subject: "\(server.address)", detail: "\(code); \(consequence)")
        server.loop.report(error, context: "server \(server.address)")
    }

    // MARK: Another loop

    /// Waits until the loop that accepts has handed something over.
    private mutating func nextOfOthers() async throws -> StreamCore? {
        let table = server.table
        while true {
            try Task.checkCancellation()
            if let connection = table.nextArrival() { return connection }
            if table.isStopped { return nil }
            // A sleep without an end, which the other loop ends early: as an operation, it ends with this loop, too.
            let sleep = Operation.sleep(.distantFuture)
            switch server.loop.begin(sleep) {
            case .waits(let token):
                table.sleeper = token
                _ = await server.loop.finish(sleep, .waits(token))
                table.sleeper = nil
            case .mustTakeTurns: await EventLoop.yield()
            case .ended(let outcome): try server.loop.check(outcome, "accept", "\(server.address)")
            case .isElsewhere: throw EventLoopError.closed(server.loop.name)
            }
        }
    }
}

/// A connection on its way to another loop. Closed if it never gets there.
final class Parcel: Sendable {
    private let peer: SocketAddress
    private let number: Locked<CInt?>

    /// Takes a connection out of its loop's care; on that loop. Nil if it is gone already.
    init?(_ connection: StreamCore) {
        guard let outcome = connection.loop.performNow(.disown(connection.reader)), outcome.result >= 0 else {
            return nil
        }
        peer = connection.peer
        number = Locked(CInt(truncatingIfNeeded: outcome.result))
    }

    deinit {
        if let number = take() { Descriptor(owning: number).close() }
    }

    private func take() -> CInt? {
        number.withLock { number in
            defer { number = nil }
            return number
        }
    }

    /// Gives the connection to the loop that runs here. Nil if that has ended.
    func open(on loop: EventLoop) -> StreamCore? {
        guard let number = take() else { return nil }
        let descriptor = Descriptor(owning: number)
        guard let outcome = loop.performNow(.adopt(number, .socket)), outcome.result >= 0 else { return nil }
        _ = descriptor.release()
        let handle = Handle(rawValue: outcome.result)
        return StreamCore(loop: loop, reader: handle, writer: handle, subject: .address(peer))
    }
}

extension StreamCore {
    /// What accept(2) has brought.
    init(accepted outcome: Outcome, on loop: EventLoop) {
        let handle = Handle(rawValue: outcome.result)
        let peer = outcome.bytes.flatMap(SocketAddress.init(sockaddr:)) ?? .unnamedUnix
        self.init(loop: loop, reader: handle, writer: handle, subject: .address(peer))
    }
}
