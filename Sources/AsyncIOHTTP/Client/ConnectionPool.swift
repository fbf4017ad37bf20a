#if HTTP
import AsyncIO
import AsyncIOKernel
import AsyncIOLoop

/// Where a connection leads, and how: two requests may use the same one exactly if this is the same.
enum ConnectionPlace: Hashable, Sendable {
    case direct(HTTPURL.Origin)
    case unix(path: String, HTTPURL.Origin)
    /// To a proxy, for whatever it is asked in plain text.
    case proxy(ProxyServer)
    /// Through a proxy, by a tunnel of the origin's own.
    case tunnel(ProxyServer, HTTPURL.Origin)
}

/// The connections of a client: performs what ``PoolMachine`` decides.
final class ConnectionPool: Sendable {
    private typealias Machine = PoolMachine<ConnectionPlace, ClientConnection>

    /// A request that waits for a connection.
    private struct Waiter {
        let place: ConnectionPlace
        let resolver: Promise<Machine.Answer>.Resolver
    }

    private struct State {
        var machine: Machine
        var waiting: [Machine.Ticket: Waiter] = [:]
    }

    private let state: Locked<State>
    let idleTime: Duration

    init(_ options: HTTPClient.Pool) {
        let machine = Machine(
            limitPerPlace: options.connectionsPerServer, limit: options.connections,
            idleLimit: options.idleTime > .zero ? options.idleConnections : 0)
        state = Locked(State(machine: machine))
        idleTime = options.idleTime
    }

    deinit { close() }

    /// Connections that are open or being opened, those of them that idle, and requests that wait for one.
    var counts: (open: Int, idle: Int, waiting: Int) {
        state.withLock { ($0.machine.open, $0.machine.idle, $0.machine.waiting) }
    }

    // MARK: Taking

    /// A connection to a place: an idle one that still lives, or a new one. It belongs to the caller, who gives it back
    /// by ``putBack(_:)`` or ``lose(_:)``.
    ///
    /// Suspends while there are as many as there may be. A cancelled task gets `CancellationError`, and holds none.
    func take(
        for place: ConnectionPlace, fresh: Bool, within limit: Duration?,
        opening: (ConnectionPlace) async throws -> ClientConnection
    ) async throws -> ClientConnection {
        while true {
            try Task.checkCancellation()
            switch try await answer(for: place, fresh: fresh, within: limit) {
            case .reuse(let connection, _):
                if await connection.wake() { return connection }
                lose(connection)
            case .open(let displaced):
                displaced?.close()
                do {
                    return try await opening(place)
                } catch {
                    carryOut { $0.lose(at: place) }
                    throw error
                }
            case .wait: preconditionFailure("who waits is answered with a connection")
            }
        }
    }

    private func answer(
        for place: ConnectionPlace, fresh: Bool, within limit: Duration?
    ) async throws -> Machine.Answer {
        let (answer, waiting) = state.withLock { state in
            let answer = state.machine.ask(for: place, fresh: fresh)
            guard case .wait(let ticket) = answer else { return (answer, nil as Waiter?) }
            let waiter = Waiter(place: place, resolver: Promise.make(name: "connection").resolver)
            state.waiting[ticket] = waiter
            return (answer, waiter)
        }
        guard let answer else { throw ConnectionPool.closed }
        guard case .wait(let ticket) = answer, let waiting else { return answer }
        let promise = waiting.resolver.promise
        do {
            guard let limit else { return try await promise.value }
            return try await withTimeout(limit) { try await promise.value }
        } catch {
            leave(waiting, ticket)
            throw error is TimeoutError ? PhaseTimeout(phase: .queue, limit: limit) : error
        }
    }

    /// Somebody does not wait any longer, and may have been served just then: that goes to the next one.
    private func leave(_ waiter: Waiter, _ ticket: Machine.Ticket) {
        state.withLock { state in
            state.machine.leave(waiter.place, ticket)
            _ = state.waiting.removeValue(forKey: ticket)
        }
        // Whoever serves it later finds that it has left; if it has been served already, we have what it got.
        if waiter.resolver.fail(CancellationError()) { return }
        if case .success(let answer)? = waiter.resolver.promise.result { giveUp(answer, at: waiter.place) }
    }

    /// What somebody got who has left.
    private func giveUp(_ answer: Machine.Answer, at place: ConnectionPlace) {
        switch answer {
        case .reuse(let connection, _): lose(connection)
        case .open(let displaced):
            displaced?.close()
            carryOut { $0.lose(at: place) }
        case .wait: break
        }
    }

    // MARK: Giving back

    /// Takes back a connection that is fit for the next request.
    func putBack(_ connection: ClientConnection) {
        carryOut { machine in
            let outcome = machine.putBack(connection, to: connection.place)
            // Under the lock: nobody may find it idle, and wake it, before it sleeps.
            if let number = outcome.idleNumber {
                connection.sleep(for: idleTime) { [weak self] in self?.remove($0, number) }
            }
            return outcome
        }
    }

    /// Takes back a connection that is not fit for anything: it is broken off.
    func lose(_ connection: ClientConnection) {
        connection.abort()
        carryOut { $0.lose(at: connection.place) }
    }

    /// An idle connection has ended, or has been idle long enough.
    fileprivate func remove(_ connection: ClientConnection, _ number: UInt64) {
        let removed = state.withLock { state in
            let (removed, outcome) = state.machine.remove(number, at: connection.place)
            return (removed, Self.told(outcome, &state))
        }
        if removed.0 { connection.close() }
        tell(removed.1)
    }

    private func carryOut(_ change: (inout Machine) -> Machine.Outcome) {
        let (told, outcome) = state.withLock { state in
            let outcome = change(&state.machine)
            return (Self.told(outcome, &state), outcome)
        }
        for connection in outcome.closed { connection.close() }
        tell(told)
    }

    private static func told(
        _ outcome: Machine.Outcome, _ state: inout State
    ) -> [(Waiter, Machine.Answer)] {
        outcome.served.compactMap { ticket, answer in state.waiting.removeValue(forKey: ticket).map { ($0, answer) } }
    }

    private func tell(_ served: [(Waiter, Machine.Answer)]) {
        for (waiter, answer) in served where !waiter.resolver.fulfil(answer) { giveUp(answer, at: waiter.place) }
    }

    /// Closes what idles, and sends away who waits. What is in use is closed when it is given back.
    func close() {
        let (connections, waiting) = state.withLock { state in
            let (connections, tickets) = state.machine.close()
            return (connections, tickets.compactMap { state.waiting.removeValue(forKey: $0) })
        }
        for connection in connections { connection.close() }
        for waiter in waiting { waiter.resolver.fail(Self.closed) }
    }

    static let closed = HTTPClientError(
        .closed, subject: "the client", detail: "it has been closed: make a new one, or close it later")
}

/// A phase has taken too long. Becomes an ``HTTPClientError`` where the request is known.
struct PhaseTimeout: Error {
    let phase: HTTPClient.Phase
    let limit: Duration?
}
#endif
