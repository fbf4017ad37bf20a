import AsyncIOKernel
package import AsyncIOLoop
import Synchronization

/// Threads that do nothing but wait for the system's resolver, which has no other way than to block its caller.
///
/// They belong to no loop and are not those of `offload`: names that nobody answers for keep neither files nor other
/// work waiting, and a loop or a process ends without them. getaddrinfo(3) cannot be interrupted, so a question whose
/// asker has gone (cancelled, or out of time) holds its thread until the system gives up by itself, in glibc after 5
/// seconds for each server and try (resolv.conf(5)); its answer is dropped then. There are never more threads than the
/// limit: further questions wait for one, at most for the resolver's ``SystemResolver/timeout``, and those whose askers
/// go leave the queue at once, so that it is never longer than the list of tasks that wait.
///
/// Threads are started when needed and end after ten idle seconds.
public final class ResolverLane: Sendable, CustomStringConvertible {
    /// The one that ``SystemResolver`` uses if it is given no other: 8 threads for the whole process. The servers that
    /// they wait for are the same for all loops, and so is what they are short of.
    public static let shared = ResolverLane(name: "resolver")

    /// What the lane is called in statistics, and its threads in thread lists.
    public let name: String
    private let pool: BlockingPool<NameQuestion>
    private let system: SystemNames
    private let abandoned = Atomic(0)

    /// Makes a lane with a limit of its own, at least one thread.
    public convenience init(name: String = "resolver", threads: Int = 8) {
        self.init(name: name, threads: threads, system: .glibc)
    }

    /// Makes a lane that asks somebody else than the C library.
    package init(
        name: String = "resolver", threads: Int, system: SystemNames, source: ThreadSource = .system
    ) {
        self.name = name
        self.system = system
        pool = BlockingPool(name: name, limit: threads, source: source)
    }

    // Nobody asks any more, or the question would hold the lane. Idle threads need not wait ten seconds.
    deinit { _ = pool.close(until: .monotonicNow) }

    /// What the threads are doing.
    public var statistics: ResolverStatistics {
        let pool = pool.statistics
        return ResolverStatistics(
            threads: pool.threads, limit: pool.limit, queued: pool.queued, running: pool.running,
            abandoned: abandoned.load(ordering: .relaxed), answered: pool.finished)
    }

    /// `ResolverLane(resolver, 2 of 8 threads)`.
    public var description: String { "ResolverLane(\(name), \(statistics.threads) of \(statistics.limit) threads)" }

    func addresses(
        of host: String, _ version: SocketAddress.IPVersion?, timeout: Duration?
    ) async throws -> [SocketAddress] {
        // Here once more: not everybody comes by way of lookUp, and getaddrinfo(3) would not look closely.
        switch try HostName.kind(of: host) {
        case .numeric(let address):
            try await Visit.enter()
            guard address.isOf(version) else { throw ResolutionError.noAddress(of: host, version) }
            return [address]
        case .name: return try await ask(host, timeout: timeout) { [system] in try system.addresses(host, version) }
        }
    }

    func name(of address: SocketAddress, timeout: Duration?) async throws -> String {
        guard address.family != .unix else { throw ResolutionError.noName(of: address) }
        return try await ask(address.host, timeout: timeout) { [system] in
            let name = try system.name(address)
            // Whoever has the address has chosen the bytes.
            do { try HostName.check(name) } catch {
                throw ResolutionError(
                    .failed, subject: address.host, detail: "the answer is no name of a host: \(error)")
            }
            return name
        }
    }

    /// Has a question asked on one of the threads, and waits for its answer, or for the task's cancellation, or until
    /// it has taken too long.
    private func ask<Answer: Sendable>(
        _ subject: String, timeout: Duration?, _ work: @escaping @Sendable () throws -> Answer
    ) async throws -> Answer {
        try await Visit.enter()
        let (promise, resolver) = Promise<Answer>.make(name: "resolve \(subject)")
        let question = NameQuestion(subject, priority: Task.currentPriority, of: self) { event in
            switch event {
            case .begins(let finished):
                let answer = Result { try work() }
                finished()
                resolver.resolve { try answer.get() }
            case .cannotBegin(let error): resolver.fail(error)
            }
        }
        pool.submit(question)
        // For whoever is first: after an answer there is nothing to leave.
        defer { leave(question) }
        guard let timeout else { return try await promise.value }
        do {
            return try await withTimeout(timeout) { try await promise.value }
        } catch is TimeoutError {
            throw ResolutionError(.timedOut, subject: subject, detail: "no answer within \(timeout)")
        }
    }

    /// The asker of a question has gone.
    private func leave(_ question: NameQuestion) {
        if pool.cancel(question) { return }
        if question.askerLeaves() { abandoned.add(1, ordering: .relaxed) }
    }

    /// The system has answered, on a thread of the lane.
    fileprivate func hasAnswered(_ question: NameQuestion) {
        pool.hasFinished(question)
        if question.isAnswered() == .tooLate { abandoned.subtract(1, ordering: .relaxed) }
    }
}

/// What a ``ResolverLane`` is doing.
public struct ResolverStatistics: Sendable {
    /// Threads now.
    public let threads: Int
    /// The most threads there may be.
    public let limit: Int
    /// Questions that wait for a thread.
    public let queued: Int
    /// What is being asked now, abandoned questions included: names and addresses.
    public let running: [String]
    /// Questions among those, whose askers have gone, and that hold a thread until the system gives up.
    public let abandoned: Int
    /// Questions that the system has answered, one way or the other.
    public let answered: UInt64
}

/// One question to the system. It outlives its asker, unlike a piece of offloaded work, which is its asker's task.
private final class NameQuestion: PooledWork, @unchecked Sendable {
    enum Event {
        /// It is asked now; the closure is called when there is an answer, before anybody hears of it.
        case begins(finished: () -> Void)
        case cannotBegin(any Error)
    }
    enum Phase: UInt8, AtomicRepresentable { case wanted, abandoned, answered }
    enum Timing { case inTime, tooLate }

    let name: String
    let priority: TaskPriority
    /// Under the pool's lock.
    var place = PlaceInPool()
    private let lane: ResolverLane
    private let phase = Atomic(Phase.wanted)
    private let handle: @Sendable (Event) -> Void

    init(
        _ name: String, priority: TaskPriority, of lane: ResolverLane, _ handle: @escaping @Sendable (Event) -> Void
    ) {
        self.name = name
        self.priority = priority
        self.lane = lane
        self.handle = handle
    }

    func run() { handle(.begins { self.lane.hasAnswered(self) }) }

    func end(_ ending: WorkEnding) {
        // Nobody waits any more, and nobody needs to hear of it.
        isNotAsked(CancellationError())
    }

    func end(for error: IOError) -> Bool {
        isNotAsked(ResolutionError(.system(error.code), subject: name, detail: "no thread to ask on: \(error)"))
        return true
    }

    private func isNotAsked(_ error: any Error) {
        phase.store(.answered, ordering: .relaxed)
        handle(.cannotBegin(error))
    }

    /// Nobody waits for the answer any more. False if it has come.
    func askerLeaves() -> Bool {
        phase.compareExchange(expected: .wanted, desired: .abandoned, ordering: .relaxed).exchanged
    }

    func isAnswered() -> Timing {
        phase.exchange(.answered, ordering: .relaxed) == .abandoned ? .tooLate : .inTime
    }
}
