import AsyncIOKernel
import AsyncIOLoop
import AsyncIOTestSupport
import Testing

@testable import AsyncIO

@Suite("A cache of names", .timeLimit(.minutes(30)))
struct CachingResolverTests {
    /// Counts what it is asked, and answers when it is let.
    private final class Source: Resolver {
        let asked = Log<String>()
        let cancelled = Counter()
        /// Questions that a deadline of somebody's was in force for.
        let hurried = Counter()
        private let gate: AsyncEvent
        private let answer: @Sendable (String) throws -> [SocketAddress]

        init(
            isOpen: Bool = true,
            _ answer: @escaping @Sendable (String) throws -> [SocketAddress] = { _ in [.loopback(port: 0)] }
        ) {
            gate = AsyncEvent()
            if isOpen { gate.set() }
            self.answer = answer
        }

        func open() { gate.set() }

        func addresses(of host: String, version: SocketAddress.IPVersion?) async throws -> [SocketAddress] {
            asked.add(host)
            if Deadline.effective != nil { hurried.add() }
            do { try await gate.wait() } catch {
                cancelled.add()
                throw error
            }
            return try answer(host)
        }

        func name(of address: SocketAddress) async throws -> String { "name.test" }
    }

    @Test("an answer is kept until it is too old", arguments: Setting.timeless)
    func age(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop async throws in
            let source = Source()
            let cache = CachingResolver(source, maximumAge: .seconds(30))
            for port in 1...3 {
                #expect(try await lookUp("A.test", UInt16(port), resolver: cache) == [.loopback(port: UInt16(port))])
            }
            #expect(source.asked.count == 1)
            try await loop.sleep(for: .milliseconds(29_999))
            _ = try await lookUp("a.test", resolver: cache)
            #expect(source.asked.count == 1)
            try await loop.sleep(for: .milliseconds(1))
            _ = try await lookUp("a.test", resolver: cache)
            #expect(source.asked.all == ["A.test", "a.test"])
            cache.removeAll()
            _ = try await lookUp("a.test", resolver: cache)
            #expect(source.asked.count == 3)
            #expect(cache.statistics == ResolverCacheStatistics(kept: 1, hits: 3, joined: 0, questions: 3, open: 0))
        }
    }

    @Test("the versions are different questions, and so is a name with a dot at its end", arguments: Setting.onLoop)
    func keys(setting: Setting) async throws {
        try await withLoop(setting) { _ async throws in
            let source = Source { _ in [.loopback(port: 0), .loopback(port: 0, version: .v6)] }
            let cache = CachingResolver(source)
            for _ in 0..<2 {
                #expect(try await lookUp("a.test", resolver: cache).count == 2)
                #expect(try await lookUp("a.test", version: .v6, resolver: cache).count == 1)
                #expect(try await lookUp("a.test.", resolver: cache).count == 2)
            }
            #expect(source.asked.count == 3)
        }
    }

    @Test(
        "that there is no such name is kept for as long as wanted, and no other error ever", arguments: Setting.timeless
    )
    func negative(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop async throws in
            let source = Source { host in
                throw ResolutionError(host == "none.test" ? .noSuchName : .tryAgain, subject: host)
            }
            func ask(_ cache: CachingResolver, _ host: String) async throws -> ResolutionError.Reason? {
                await #expect(throws: ResolutionError.self) { try await lookUp(host, resolver: cache) }?.reason
            }
            let forgetful = CachingResolver(source)
            for _ in 0..<3 { #expect(try await ask(forgetful, "none.test") == .noSuchName) }
            #expect(source.asked.count == 3)
            let cache = CachingResolver(source, negativeAge: .seconds(2))
            for _ in 0..<3 { #expect(try await ask(cache, "none.test") == .noSuchName) }
            #expect(source.asked.count == 4)
            try await loop.sleep(for: .seconds(2))
            #expect(try await ask(cache, "none.test") == .noSuchName)
            #expect(source.asked.count == 5)
            for _ in 0..<3 { #expect(try await ask(cache, "down.test") == .tryAgain) }
            #expect(source.asked.count == 8)
        }
    }

    @Test(
        "tasks that ask the same at once share one question; one that is cancelled does not take it along",
        arguments: Setting.onLoop)
    func shared(setting: Setting) async throws {
        try await withLoop(setting) { loop async throws in
            let source = Source(isOpen: false)
            let cache = CachingResolver(source)
            let askers = (0..<20).map { _ in loop.submit { try await lookUp("a.test", 5, resolver: cache) } }
            await until { cache.statistics.joined == 19 && source.asked.count == 1 }
            // Among them the one that began.
            for asker in askers.prefix(10) { asker.cancel() }
            for asker in askers.prefix(10) {
                await #expect(throws: CancellationError.self) { _ = try await asker.value }
            }
            source.open()
            for asker in askers.dropFirst(10) { #expect(try await asker.value == [.loopback(port: 5)]) }
            #expect(source.asked.count == 1 && source.cancelled.value == 0)
            #expect(cache.statistics.open == 0 && cache.statistics.kept == 1)
        }
    }

    @Test(
        "when the last asker has gone the question is called off, and the next one asks anew", arguments: Setting.onLoop
    )
    func abandoned(setting: Setting) async throws {
        try await withLoop(setting) { loop async throws in
            let source = Source(isOpen: false)
            let cache = CachingResolver(source)
            let askers = (0..<3).map { _ in loop.submit { try await lookUp("a.test", resolver: cache) } }
            await until { cache.statistics.joined == 2 && source.asked.count == 1 }
            for asker in askers { asker.cancel() }
            for asker in askers { await #expect(throws: CancellationError.self) { _ = try await asker.value } }
            await until { source.cancelled.value == 1 }
            let next = loop.submit { try await lookUp("a.test", 6, resolver: cache) }
            await until { source.asked.count == 2 }
            source.open()
            #expect(try await next.value == [.loopback(port: 6)])
        }
    }

    @Test("the first asker's deadline and loop bind nobody else", arguments: Drivers.available, Setting.onRealLoop)
    func foreignEnds(driver: DriverChoice, setting: Setting) async throws {
        let source = Source(isOpen: false)
        let cache = CachingResolver(source)
        let first = try LoopThread(options: .guest(driver))
        try await withLoop(setting) { loop async throws in
            let deadlines = Log<Deadline>()
            let hasty = loop.submit {
                try await withTimeout(.seconds(1_000)) { deadline in
                    deadlines.add(deadline)
                    return try await lookUp("b.test", resolver: cache)
                }
            }
            await until { source.asked.count == 1 }
            let patient = loop.submit { try await lookUp("b.test", 3, resolver: cache) }
            await until { cache.statistics.joined == 1 }
            deadlines.all.first?.reschedule(in: .zero)
            await #expect(throws: TimeoutError.self) { _ = try await hasty.value }
            first.loop.spawn { _ = try await lookUp("a.test", resolver: cache) }
            await until { source.asked.all.contains("a.test") }
            let second = loop.submit { try await lookUp("a.test", 4, resolver: cache) }
            await until { cache.statistics.joined == 2 }
            await first.shutdown()
            source.open()
            #expect(try await second.value == [.loopback(port: 4)])
            #expect(try await patient.value == [.loopback(port: 3)])
            #expect(source.asked.count == 2 && source.hurried.value == 0)
        }
    }

    @Test("names of addresses are passed on")
    func reverse() async throws {
        #expect(try await lookUpName(of: .loopback(port: 1), resolver: CachingResolver(Source())) == "name.test")
    }

    // MARK: The table

    @Test("the oldest answer makes room, and what has been replaced does not count", arguments: Randomness.seeds)
    func model(seed: UInt64) throws {
        var random = Randomness(seed: seed)
        let capacity = Int.random(in: 0...8, using: &random)
        var table = NameTable(capacity: capacity)
        // Oldest first.
        var model: [(host: String, expiration: Instant)] = []
        var now = Instant(nanoseconds: 0)
        for round in 0..<20_000 {
            now = now.advanced(by: .nanoseconds(Int.random(in: 0...2, using: &random)))
            let host = "\(Int.random(in: 0..<12, using: &random))"
            let key = NameTable.Key(host: host, version: nil)
            if round % 5_000 == 4_999 {
                table.removeAll()
                model = []
            }
            let expected = model.first { $0.host == host && now < $0.expiration }
            switch table.visit(key, at: now) {
            case .knows: #expect(expected != nil, "seed \(seed)")
            case .joins: Issue.record("nothing is open, seed \(seed)")
            case .asks(let question, let resolver):
                #expect(expected == nil, "seed \(seed)")
                model.removeAll { $0.host == host }
                let isWanted = table.isAnswered(question)
                #expect(isWanted)
                let expiration = now.advanced(by: .nanoseconds(Int.random(in: 1...30, using: &random)))
                table.keep(.success([]), for: key, until: expiration, at: now)
                resolver.fulfil([])
                model.append((host, expiration))
                if model.count > capacity { model.removeFirst() }
            }
            #expect(table.statistics.kept <= capacity, "seed \(seed)")
        }
    }
}
