import AsyncIOKernel
import AsyncIOLoop
import Synchronization
import SystemPackage

/// A server on one loop: where its connections come from, and what becomes of them. What TCP's and Unix's listeners
/// have in common, and what every loop of a ``TCPServer`` has of its own.
///
/// An ``Acceptor`` takes connections from the source, each gets a child task, and ``ServerCore/Life`` says how far the
/// end has come. Nothing on a connection's path is shared with other loops, and nothing takes a lock.
final class ServerCore: Sendable {
    let loop: EventLoop
    /// Where it listens.
    let address: SocketAddress
    let source: Source
    let counts = ServerCounts()
    /// The loop's thread alone may touch it.
    @safe nonisolated(unsafe) let table = ConnectionTable()
    let life = Locked(Life())
    /// What ends with the listening socket: the file of a Unix socket.
    let place: SocketPlace?
    /// How many connections the kernel keeps for us at most.
    let backlog: Int

    /// Where connections come from.
    enum Source: Sendable {
        case socket(Handle)
        /// Another loop accepts, and hands over.
        case otherLoop
    }

    /// What listens already has a queue of a length that nobody tells; it is mostly the system's own limit.
    init(
        loop: EventLoop, source: Source, address: SocketAddress, place: SocketPlace? = nil, backlog: Int32 = 4_096
    ) {
        self.loop = loop
        self.source = source
        self.address = address
        self.place = place
        // The kernel's queue is full when there is one more.
        self.backlog = Int(max(backlog, 0)) + 1
        if case .socket(let handle) = source { OpenResources.opened(ResourceKey(handle)) }
    }

    deinit {
        if case .socket(let handle) = source {
            OpenResources.letGo(ResourceKey(handle), "listener(\(address))", on: loop)
        }
        place?.giveUp()
        if case .socket(let handle) = source { loop.performSoon(closing: handle) }
    }

    var handle: Handle {
        if case .socket(let handle) = source { return handle }
        return .none
    }

    /// Stops listening. The place goes first: while we still listen, nobody takes its file for an orphan.
    func close() {
        place?.giveUp()
        loop.performSoon(closing: handle)
    }

    /// Runs on the loop's thread: now if that is here, else soon. False if the loop is closed.
    @discardableResult
    func onLoop(_ body: @escaping @Sendable () -> Void) -> Bool {
        if loop.isCurrent {
            body()
            return true
        }
        return !loop.callSoon(body).isCancelled
    }

    // MARK: Serving

    /// Says that the server will serve: a second one is refused.
    func claim(limit: ConnectionLimit?) throws(IOError) {
        let isFirst = life.withLock { life in
            guard !life.isServing else { return false }
            life.isServing = true
            life.limit = limit
            return true
        }
        guard !isFirst else { return }
        throw IOError(
            .resourceBusy, operation: "serve", subject: "\(address)",
            detail: "this listener is serving already; bind a second one with reusePort to share the port")
    }

    /// Takes a claim back, with all that a shutdown has begun meanwhile: whoever waits for its end goes on, and the
    /// next claim begins a new life.
    func unclaim() {
        let before = life.withLock { life in
            let before = life
            life = Life()
            // The numbers of those who are about to wait stay their own.
            life.lastWaiter = before.lastWaiter
            return before
        }
        for alarm in before.alarms { alarm.cancel() }
        for (_, waiter) in before.waiters.sorted(by: { $0.key < $1.key }) { waiter.wake() }
        guard before.isShuttingDown else { return }
        // Nobody is there to empty the kernel's queue.
        onLoop {
            guard self.table.isDraining else { return }
            self.table.isStopped = true
            self.close()
        }
    }

    /// Serves until the server is shut down, cancelled, or fails. Once, after ``claim(limit:)``.
    func serve(_ plan: ServePlan) async throws {
        let task = loop.startTask(named: "server \(address)") { await self.acceptLoop(plan) }
        let isTooLate = life.withLock { life in
            life.task = task
            return life.isCancelling
        }
        if isTooLate { task.cancel() }
        await withTaskCancellationHandler {
            await task.value
        } onCancel: {
            beginShutdown(drain: plan.drain)
        }
        close()
        if let failure = hasEnded() { throw failure }
    }

    /// The children live in this group; it ends when they have. A discarding one: what has ended leaves nothing behind.
    private func acceptLoop(_ plan: ServePlan) async {
        let prefersLoop = !loop.isDefaultExecutor
        await withDiscardingTaskGroup { group in
            var acceptor = Acceptor(server: self, plan: plan)
            while let connection = await acceptor.next() {
                let number = begin(connection)
                let name = name(of: connection, number)
                if prefersLoop {
                    group.addTask(name: name, executorPreference: loop) { await self.run(connection, number, plan) }
                } else {
                    group.addTask(name: name) { await self.run(connection, number, plan) }
                }
            }
            refuseWaiting(plan)
            await endDraining()
            if let failure = acceptor.failure, !life.withLock({ $0.isShuttingDown }) {
                life.withLock { $0.failure = failure }
                // Connections may go on for long. Until they end nobody would hear of it, and clients would wait in a
                // queue.
                close()
                if !group.isEmpty { loop.report(failure, context: "server \(address) accepts no more") }
                plan.failed()
            }
        }
    }

    private func begin(_ connection: StreamCore) -> UInt64 {
        counts.accepted.add(1, ordering: .relaxed)
        counts.active.add(1, ordering: .relaxed)
        return table.add(connection)
    }

    /// The life of a connection: all that it takes besides its handler, each connection's task keeps meanwhile.
    @inline(__always)
    private func run(_ connection: StreamCore, _ number: UInt64, _ plan: ServePlan) async {
        let scope = CancellationScope.begin(on: loop)
        do {
            try await plan.handler(connection, number, self)
        } catch {
            connectionHasFailed(connection, number, error)
        }
        CancellationScope.end(scope)
        connectionHasEnded(connection, number, plan)
    }

    @inline(never)
    private func connectionHasFailed(_ connection: StreamCore, _ number: UInt64, _ error: any Error) {
        // The server is ending, or the handler ended itself so.
        if error is CancellationError { return }
        counts.failed.add(1, ordering: .relaxed)
        loop.report(error, context: name(of: connection, number))
    }

    @inline(never)
    private func connectionHasEnded(_ connection: StreamCore, _ number: UInt64, _ plan: ServePlan) {
        connection.close()
        counts.active.subtract(1, ordering: .relaxed)
        plan.limit?.leave()
        // Nearly always, and without a closure.
        if loop.isCurrent { return table.remove(connection, number) }
        // A handler may have been on a visit to an actor that is drained elsewhere.
        onLoop { self.table.remove(connection, number) }
    }

    /// `connection 10.0.0.1:53211`. Unix clients mostly have no address: `connection 17 at unix:/run/app.sock`.
    func name(of connection: StreamCore, _ number: UInt64) -> String {
        let peer = connection.peer
        return peer == .unnamedUnix ? "connection \(number) at \(address)" : peer.description(after: "connection ")
    }

    // MARK: Connections from another loop

    /// Takes over what another loop has accepted. On this loop's thread.
    func take(_ parcel: Parcel, _ plan: ServePlan) {
        let open = table.acceptsNoMore ? nil : parcel.open(on: loop)
        guard let open else { return refuse(plan) }
        table.arrive(open)
        if let sleeper = table.sleeper { loop.cancel(sleeper) }
    }

    /// A connection was closed without having been served. It has counted for the limit since it was taken.
    func refuse(_ plan: ServePlan) {
        counts.refused.add(1, ordering: .relaxed)
        plan.limit?.leave()
    }

    /// Closes what arrived too late.
    private func refuseWaiting(_ plan: ServePlan) {
        while let connection = table.nextArrival() {
            connection.close()
            refuse(plan)
        }
        table.acceptsNoMore = true
    }
}

/// How a server serves. An object, which its connections share.
final class ServePlan: Sendable {
    let limit: ConnectionLimit?
    /// What cancelling the serving task leaves the handlers.
    let drain: Duration
    /// The loops that take turns in serving, this one among them; empty if it serves alone.
    let turns: [ServerCore]
    /// Is told at once when a part can accept no more, though its connections may go on.
    let failed: @Sendable () -> Void
    let handler: Handler

    init(
        limit: ConnectionLimit?, drain: Duration, turns: [ServerCore], failed: @escaping @Sendable () -> Void,
        handler: @escaping Handler
    ) {
        self.limit = limit
        self.drain = drain
        self.turns = turns
        self.failed = failed
        self.handler = handler
    }

    /// Gets a connection, its number, and the part of the server that it came through.
    typealias Handler = @Sendable (StreamCore, UInt64, ServerCore) async throws -> Void
}

/// What a server knows of its connections, on its loop's thread alone.
final class ConnectionTable {
    // Never touched across a call that could touch them again: unchecked as the fields of LoopCore, and for the same
    // reason.

    /// The source has been closed: what has arrived is the rest.
    @safe @exclusivity(unchecked) var isStopped = false
    /// What waits in the kernel's queue is still taken, and nothing new comes to it.
    @safe @exclusivity(unchecked) var isDraining = false
    /// Nobody will take any more.
    @safe @exclusivity(unchecked) var acceptsNoMore = false
    /// What the acceptor waits for, if it does: a connection, or another loop.
    @safe @exclusivity(unchecked) var sleeper: Token?
    /// The connections that are served, by their descriptors' numbers; and their own numbers, 0 where there is none.
    @safe @exclusivity(unchecked) private var connections: [StreamCore?] = []
    @safe @exclusivity(unchecked) private var numbers: [UInt64] = []
    /// Those whose numbers have others got: their handlers have closed them, and go on.
    @safe @exclusivity(unchecked) private var displaced: [Place] = []
    @safe @exclusivity(unchecked) private var last: UInt64 = 0
    @safe @exclusivity(unchecked) private var arrivals: [StreamCore] = []
    @safe @exclusivity(unchecked) private var firstArrival = 0

    /// A connection and its own number.
    typealias Place = (number: UInt64, connection: StreamCore)

    /// The connections whose handlers have not ended, oldest first.
    var served: [Place] {
        let present = zip(numbers, connections).compactMap { number, connection in connection.map { (number, $0) } }
        return (present + displaced).sorted { $0.number < $1.number }
    }

    func add(_ connection: StreamCore) -> UInt64 {
        last += 1
        let index = Int(connection.reader.descriptor)
        while index >= numbers.count {
            numbers.append(0)
            connections.append(nil)
        }
        if let former = connections[index] { displaced.append((numbers[index], former)) }
        numbers[index] = last
        connections[index] = connection
        return last
    }

    func remove(_ connection: StreamCore, _ number: UInt64) {
        let index = Int(connection.reader.descriptor)
        if numbers[index] == number {
            numbers[index] = 0
            connections[index] = nil
        } else {
            displaced.removeAll { $0.number == number }
        }
    }

    /// A connection has been accepted, and waits to be served.
    func arrive(_ connection: StreamCore) { arrivals.append(connection) }

    var hasArrivals: Bool { firstArrival < arrivals.count }

    func nextArrival() -> StreamCore? {
        guard firstArrival < arrivals.count else { return nil }
        defer {
            firstArrival += 1
            if firstArrival == arrivals.count {
                arrivals.removeAll(keepingCapacity: arrivals.count < 256)
                firstArrival = 0
            }
        }
        return arrivals[firstArrival]
    }
}
