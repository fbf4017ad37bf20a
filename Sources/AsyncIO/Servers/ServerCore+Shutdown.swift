import AsyncIOKernel
import AsyncIOLoop
import Synchronization
import SystemPackage

extension ServerCore {
    /// Where a server is in its life.
    struct Life {
        var isServing = false
        var isShuttingDown = false
        var isCancelling = false
        var hasEnded = false
        var task: Task<Void, Never>?
        var limit: ConnectionLimit?
        var failure: (any Error)?
        /// What ends the phases of a shutdown.
        var alarms: [ScheduledCall] = []
        /// When each phase began, and with how many connections.
        var marks: [Mark] = []
        var waiters: [UInt64: Waiter] = [:]
        var lastWaiter: UInt64 = 0
    }

    struct Mark {
        let phase: ShutdownReport.Phase.Name
        let instant: Instant
        let active: Int
    }

    // MARK: The phases

    /// Begins the end: no more connections from now on; after the drain time the handlers are cancelled, and, if a
    /// grace period is given, after that the connections broken off. From any thread; again, it shortens the times.
    ///
    /// A server that gets its connections from another loop is told separately when the last one has come.
    func beginShutdown(drain: Duration, grace: Duration? = nil) {
        let isServing = life.withLock { life in
            life.isShuttingDown = true
            return life.isServing && !life.hasEnded
        }
        if drain > .zero { mark(.drain) }
        if case .socket = source { stop(drains: isServing && drain > .zero) }
        if drain <= .zero { cancelHandlers() } else { alarm(after: drain) { self.cancelHandlers() } }
        if let grace { alarm(after: max(drain, .zero) + max(grace, .zero)) { self.breakOff() } }
    }

    /// The source brings nothing more. What it has brought already is still served, if the server drains.
    func stop(drains: Bool) {
        let isOpen = onLoop {
            // Once it drains, the acceptor closes it: when the queue is empty, or when it is cancelled.
            guard !self.table.isStopped, !self.table.isDraining else { return }
            self.table.isDraining = drains && !self.table.acceptsNoMore && self.beginDraining()
            if !self.table.isDraining {
                self.table.isStopped = true
                self.close()
            }
            self.life.withLock { $0.limit }?.letAllLookAgain()
            if let sleeper = self.table.sleeper { self.loop.cancel(sleeper) }
        }
        if !isOpen { close() }
    }

    /// Whose handshake is done before the end believes to be connected: closing the socket would break them all off.
    ///
    /// So new handshakes are refused first, for which the clients' systems merely try again, and then the kernel's
    /// queue is emptied, by the acceptor: within the connection limit, and in turns. That matters for a reload, where
    /// another process goes on listening on the same port. A queue that is short is emptied at once. False if nothing
    /// is left for the acceptor.
    private func beginDraining() -> Bool {
        guard listens else { return false }
        place?.giveUp()
        if address.family != .unix { SystemCall.ignoreHandshakes(handle.descriptor) }
        let limit = life.withLock { $0.limit }
        for _ in 0..<Acceptor.acceptsPerTurn where limit?.hasRoom ?? true {
            guard let outcome = takeOneThatWaits() else { return false }
            // The acceptor knows what to do about errors.
            guard outcome.result >= 0 else { break }
            limit?.enter()
            table.arrive(StreamCore(accepted: outcome, on: loop))
        }
        return true
    }

    /// The number may be another one's by now: the driver knows. On the loop's thread.
    private var listens: Bool { (loop.performNow(.localAddress(handle))?.result ?? -1) >= 0 }

    /// One connection out of the kernel's queue, by hand; nil if the queue is empty, or has been closed.
    func takeOneThatWaits() -> Outcome? {
        guard listens else { return nil }
        let (result, peer) = SystemCall.accept(handle.descriptor)
        if result == Errno.wouldBlock.negated { return nil }
        guard result >= 0 else { return Outcome(result) }
        let descriptor = Descriptor(owning: CInt(truncatingIfNeeded: result))
        guard let adopted = loop.performNow(.adopt(descriptor.number, .socket)) else { return nil }
        guard adopted.result >= 0 else { return adopted }
        _ = descriptor.release()
        return Outcome(adopted.result, bytes: peer)
    }

    /// The acceptor takes no more out of the kernel's queue: closes the socket, and says so if that breaks anybody off.
    func endDraining() async {
        guard table.isDraining, !table.isStopped else { return }
        var refused = 0
        var failures = 0
        while refused < backlog, failures < 16, listens {
            let (result, _) = SystemCall.accept(handle.descriptor)
            if result == Errno.wouldBlock.negated { break }
            if result >= 0 {
                Descriptor(owning: CInt(truncatingIfNeeded: result)).close()
                refused += 1
                if refused.isMultiple(of: Acceptor.acceptsPerTurn) { await EventLoop.yield() }
            } else {
                failures += 1
            }
        }
        counts.refused.add(refused, ordering: .relaxed)
        table.isStopped = true
        close()
        guard refused > 0 || failures >= 16 else { return }
        let others = failures >= 16 ? ", and all those that no descriptor was free for" : ""
        let error = IOError(
            .connectionAbort, operation: "drain", subject: "\(address)",
            detail: "\(refused) connections that waited have been closed unserved\(others); "
                + "a longer drain time or a higher limit would serve them")
        loop.report(error, context: "server \(address)")
    }

    private func cancelHandlers() {
        mark(.cancel)
        let task = life.withLock { life in
            life.isCancelling = true
            return life.task
        }
        task?.cancel()
    }

    /// Breaks off the connections whose handlers would not end. What they wait for ends with an error.
    private func breakOff() {
        onLoop {
            let stubborn = self.table.served
            guard !stubborn.isEmpty else { return }
            self.mark(.abort)
            for (_, connection) in stubborn { connection.close(.abortive) }
            let names = stubborn.map { self.name(of: $0.connection, $0.number) }
            self.loop.report(EventLoopError.ignoredCancellation(names), context: "server \(self.address)")
        }
    }

    /// A phase begins, if no later one has.
    private func mark(_ phase: ShutdownReport.Phase.Name) {
        let mark = Mark(phase: phase, instant: loop.now, active: counts.active.load(ordering: .relaxed))
        life.withLock { life in
            guard life.isServing, !life.hasEnded, life.marks.allSatisfy({ $0.phase < phase }) else { return }
            life.marks.append(mark)
        }
    }

    private func alarm(after time: Duration, _ body: @escaping @Sendable () -> Void) {
        let alarm = loop.callLater(time, body)
        let isTooLate = life.withLock { life in
            life.alarms.append(alarm)
            return life.hasEnded || !life.isServing
        }
        if isTooLate { alarm.cancel() }
    }

    // MARK: The end

    /// The last handler has ended. Returns why, if not by a shutdown.
    func hasEnded() -> (any Error)? {
        let end = Mark(phase: .end, instant: loop.now, active: 0)
        let (failure, alarms, waiters) = life.withLock { life in
            life.hasEnded = true
            life.task = nil
            if !life.marks.isEmpty { life.marks.append(end) }
            defer {
                life.alarms = []
                life.waiters = [:]
            }
            return (life.failure, life.alarms, life.waiters.sorted { $0.key < $1.key }.map(\.value))
        }
        for alarm in alarms { alarm.cancel() }
        for waiter in waiters { waiter.wake() }
        return failure
    }

    /// Suspends until a server that is being shut down has ended. A caller that is cancelled stops waiting.
    func waitForEnd() async throws {
        let number = life.withLock { life in
            life.lastWaiter += 1
            return life.lastWaiter
        }
        await withTaskCancellationHandler {
            await Waiter.suspend(for: Errand("server's end")) { waiter in
                life.withLock { life in
                    guard life.isServing, !life.hasEnded, !Task.isCancelled else { return false }
                    life.waiters[number] = waiter
                    return true
                }
            }
        } onCancel: {
            life.withLock { $0.waiters.removeValue(forKey: number) }?.wake()
        }
        if life.withLock({ $0.isServing && !$0.hasEnded }) { try Task.checkCancellation() }
    }

    var report: ShutdownReport { ShutdownReport(life.withLock { $0.marks }) }
}

/// How a shutdown went: see ``TCPListener/shutdown(drain:grace:)``.
public struct ShutdownReport: Sendable, CustomStringConvertible {
    /// One phase of a shutdown.
    public struct Phase: Sendable {
        /// The phases, in their order.
        public enum Name: Int, Sendable, Comparable {
            /// No more connections are accepted; handlers may finish.
            case drain
            /// The handlers that are left have been cancelled, and may clean up.
            case cancel
            /// The connections that are left have been broken off.
            case abort
            /// All is over. The report has no such phase.
            case end

            /// In their order.
            public static func < (left: Name, right: Name) -> Bool { left.rawValue < right.rawValue }
        }

        /// Which one.
        public let name: Name
        /// How long it took.
        public internal(set) var duration: Duration
        /// How many handlers ended in it.
        public internal(set) var ended: Int
    }

    /// The phases that were needed, in their order; none if nothing was served.
    public private(set) var phases: [Phase] = []

    /// How many connections had to be broken off.
    public var aborted: Int { self[.abort]?.ended ?? 0 }

    /// A phase, if it was needed.
    public subscript(name: Phase.Name) -> Phase? { phases.first { $0.name == name } }

    init(_ marks: [ServerCore.Mark]) {
        for (mark, next) in zip(marks, marks.dropFirst()) {
            let time = mark.instant.duration(to: next.instant)
            phases.append(Phase(name: mark.phase, duration: time, ended: max(mark.active - next.active, 0)))
        }
    }

    /// Several servers that were shut down together.
    init(_ reports: [ShutdownReport]) {
        for name in [Phase.Name.drain, .cancel, .abort] {
            let all = reports.compactMap { $0[name] }
            guard let longest = all.map(\.duration).max() else { continue }
            phases.append(Phase(name: name, duration: longest, ended: all.reduce(0) { $0 + $1.ended }))
        }
    }

    /// `drain 2.0 seconds (3 ended), cancel 0.1 seconds (1 ended)`.
    public var description: String {
        phases.isEmpty
            ? "nothing was served"
            : phases.map { "\($0.name) \($0.duration) (\($0.ended) ended)" }.joined(separator: ", ")
    }
}
