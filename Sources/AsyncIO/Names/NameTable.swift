import AsyncIOKernel

/// What a ``CachingResolver`` knows, and what it is asking: no locks, no tasks, no time of its own.
struct NameTable {
    struct Key: Hashable, Sendable {
        let host: String
        let version: SocketAddress.IPVersion?
    }

    /// Something that is being asked, and where those who want to know wait.
    struct Question: Sendable {
        let key: Key
        let number: UInt64
        let promise: Promise<[SocketAddress]>
    }

    enum Visit {
        case knows(Result<[SocketAddress], any Error>)
        case joins(Question)
        case asks(Question, Promise<[SocketAddress]>.Resolver)
    }

    private struct Open {
        let question: Question
        var askers = 1
        var task: Task<Void, any Error>?
    }

    private struct Entry {
        let answer: Result<[SocketAddress], any Error>
        let expiration: Instant
        let number: UInt64
    }

    private let capacity: Int
    private var open: [Key: Open] = [:]
    private var entries: [Key: Entry] = [:]
    /// The entries, oldest first, among others that have been replaced since.
    private var ages: [(key: Key, number: UInt64)] = []
    /// How many of those have gone.
    private var gone = 0
    private var numbers: UInt64 = 0
    private var hits: UInt64 = 0
    private var joined: UInt64 = 0
    private var questions: UInt64 = 0

    init(capacity: Int) { self.capacity = max(capacity, 0) }

    mutating func visit(_ key: Key, at now: Instant) -> Visit {
        if let entry = entries[key] {
            if now < entry.expiration {
                hits += 1
                return .knows(entry.answer)
            }
            entries[key] = nil
        }
        if let question = open[key]?.question {
            open[key]?.askers += 1
            joined += 1
            return .joins(question)
        }
        questions += 1
        let (promise, resolver) = Promise<[SocketAddress]>.make(name: "addresses of \(key.host)")
        let question = Question(key: key, number: nextNumber(), promise: promise)
        open[key] = Open(question: question)
        return .asks(question, resolver)
    }

    /// A question is being asked by a task.
    mutating func begins(_ question: Question, _ task: Task<Void, any Error>) {
        if isOpen(question) { open[question.key]?.task = task }
    }

    /// An asker goes. Returns what is to be cancelled, if it was the last.
    mutating func leave(_ question: Question) -> Task<Void, any Error>? {
        guard isOpen(question), let askers = open[question.key]?.askers else { return nil }
        open[question.key]?.askers = askers - 1
        return askers > 1 ? nil : open.removeValue(forKey: question.key)?.task
    }

    /// A question has its answer. False if nobody wants it any more.
    mutating func isAnswered(_ question: Question) -> Bool {
        guard isOpen(question) else { return false }
        open[question.key] = nil
        return true
    }

    private func isOpen(_ question: Question) -> Bool { open[question.key]?.question.number == question.number }

    mutating func keep(
        _ answer: Result<[SocketAddress], any Error>, for key: Key, until expiration: Instant, at now: Instant
    ) {
        guard capacity > 0 else { return }
        let number = nextNumber()
        entries[key] = Entry(answer: answer, expiration: expiration, number: number)
        ages.append((key, number))
        while entries.count > capacity, gone < ages.count {
            let (key, number) = ages[gone]
            gone += 1
            if entries[key]?.number == number { entries[key] = nil }
        }
        // What has been replaced must not pile up: a few words for each answer, and as much work.
        guard ages.count > 2 * entries.count + 16 else { return }
        ages = ages[gone...].filter { entries[$0.key]?.number == $0.number }
        gone = 0
    }

    mutating func removeAll() {
        entries = [:]
        ages = []
        gone = 0
    }

    private mutating func nextNumber() -> UInt64 {
        numbers += 1
        return numbers
    }

    var statistics: ResolverCacheStatistics {
        ResolverCacheStatistics(
            kept: entries.count, hits: hits, joined: joined, questions: questions, open: open.count)
    }
}
