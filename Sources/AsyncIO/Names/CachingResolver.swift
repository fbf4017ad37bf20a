public import AsyncIOKernel
import AsyncIOLoop

/// Keeps what another resolver answers, for a while, and asks it each question once at a time.
///
/// ```swift
/// let resolver = CachingResolver(SystemResolver(), maximumAge: .seconds(30))
/// try await withResolver(resolver) { try await crawl(pages) }
/// ```
///
/// The system does not say how long an answer is valid, so all have the same maximum age; keep it short, since hosts
/// move. Names that do not exist, or have no address, are kept for `negativeAge`: by default not at all. Other errors
/// are never kept. When the table is full, the oldest answer makes room. Time is that of the loop which runs where the
/// question is asked.
///
/// Tasks that ask the same at the same time, on whatever loops, share one question. One that is cancelled goes at once,
/// and the others do not notice; when the last has gone, so is the question. A question runs beside those who ask:
/// their deadlines do not bind it, and its task locals and priority are those of the first.
///
/// Names of addresses are passed on and not kept.
public final class CachingResolver: Resolver {
    private let resolver: any Resolver
    private let maximumAge: Duration
    private let negativeAge: Duration
    private let table: Locked<NameTable>

    /// Creates a cache around a resolver, for at most so many answers.
    public init(
        _ resolver: any Resolver = SystemResolver(), maximumAge: Duration = .seconds(30),
        negativeAge: Duration = .zero, capacity: Int = 1024
    ) {
        self.resolver = resolver
        self.maximumAge = maximumAge
        self.negativeAge = negativeAge
        table = Locked(NameTable(capacity: capacity))
    }

    /// Forgets all answers. Questions that are being asked go on, and their answers are kept.
    public func removeAll() { table.withLock { $0.removeAll() } }

    /// What has happened so far, and what is kept.
    public var statistics: ResolverCacheStatistics { table.withLock { $0.statistics } }

    /// What is known, or what the resolver answers.
    public func addresses(of host: String, version: SocketAddress.IPVersion?) async throws -> [SocketAddress] {
        try await Visit.enter()
        let key = NameTable.Key(host: host.lowercased(), version: version)
        switch table.withLock({ $0.visit(key, at: EventLoop.ambient.now) }) {
        case .knows(let answer): return try answer.get()
        case .joins(let question):
            defer { leave(question) }
            return try await question.promise.value
        case .asks(let question, let resolver):
            // As long as this task is here the question is not called off, so its task is still to be noted.
            let task = ask(question, host, resolver)
            table.withLock { $0.begins(question, task) }
            defer { leave(question) }
            return try await question.promise.value
        }
    }

    /// The name of an address, as the resolver says.
    public func name(of address: SocketAddress) async throws -> String { try await resolver.name(of: address) }

    private func ask(
        _ question: NameTable.Question, _ host: String, _ answering: Promise<[SocketAddress]>.Resolver
    ) -> Task<Void, any Error> {
        UncancelledTask.start(name: "resolve \(host)") { [self] in
            let version = question.key.version
            let answer = await Result.of { try await resolver.addresses(of: host, version: version) }
            let now = EventLoop.ambient.now
            table.withLock { table in
                guard table.isAnswered(question), let age = age(of: answer), age > .zero else { return }
                table.keep(answer, for: question.key, until: now.advanced(by: age), at: now)
            }
            answering.resolve { try answer.get() }
        }
    }

    /// How long an answer is kept; nil if it is not.
    private func age(of answer: Result<[SocketAddress], any Error>) -> Duration? {
        switch answer {
        case .success: return maximumAge
        case .failure(let error as ResolutionError) where [.noSuchName, .noAddress].contains(error.reason):
            return negativeAge
        case .failure: return nil
        }
    }

    private func leave(_ question: NameTable.Question) {
        table.withLock { $0.leave(question) }?.cancel()
    }
}

/// What has happened so far at a ``CachingResolver``, and what is kept.
public struct ResolverCacheStatistics: Sendable, Hashable {
    /// Answers that are kept, some of them perhaps too old to be given.
    public let kept: Int
    /// Calls that were answered from the table.
    public let hits: UInt64
    /// Calls that joined a question that was being asked.
    public let joined: UInt64
    /// Questions that were asked.
    public let questions: UInt64
    /// Questions that are being asked now.
    public let open: Int
}
