import AsyncIO
import AsyncIOKernel
import AsyncIOTestSupport
import Testing

@Suite("Coordination under random load")
struct CoordinationStressTests {
    @Test("scopes: whatever fails or is cancelled when, every child ends, and every error is reported once")
    func scopes() async throws {
        for seed in Randomness.seeds {
            try await Guest.run { loop in
                var random = Randomness(seed: seed)
                for _ in 0..<(Stress.isOn ? 5_000 : 60) {
                    let (ended, failed) = (Counter(), Counter())
                    let plan = (0..<Int.random(in: 0..<12, using: &random)).map { _ in random.next() }
                    let turns = Int.random(in: 0..<12, using: &random)
                    let ending = Int.random(in: 0..<4, using: &random)
                    let task = loop.submit {
                        try await withTaskScope { scope in
                            for bits in plan {
                                try scope.spawn {
                                    defer { ended.add() }
                                    for _ in 0..<(bits % 7) { try? await loop.sleep(for: .zero) }
                                    if bits >> 8 & 7 == 0 {
                                        failed.add()
                                        throw Failure()
                                    }
                                    if bits >> 8 & 7 == 1 { scope.cancel() }
                                    try Task.checkCancellation()
                                }
                                if bits >> 16 & 1 == 0 { await EventLoop.yield() }
                            }
                        }
                    }
                    for _ in 0..<turns { await EventLoop.yield() }
                    if ending == 0 { task.cancel() }
                    if ending == 1 { try await Watchdog.onThread { task.cancel() } }
                    var reported = 0
                    do { try await task.value } catch let error as TaskScopeError {
                        reported = error.errors.count
                    } catch {
                        #expect(error is CancellationError && ending < 2)
                    }
                    let counts = [reported, ended.value <= plan.count ? 1 : 0]
                    #expect(counts == [failed.value, 1], "\(random.note)")
                    if reported == 0 && ending > 1 { #expect(ended.value == plan.count, "\(random.note)") }
                }
            }
        }
    }

    @Test("races: every value that was made is returned or discarded, exactly one of them returned")
    func races() async throws {
        for seed in Randomness.seeds {
            try await Guest.run { loop in
                var random = Randomness(seed: seed)
                for _ in 0..<(Stress.isOn ? 5_000 : 60) {
                    let (made, kept) = (Log<Int>(), Log<Int>())
                    let plan = (0..<Int.random(in: 1..<8, using: &random)).map { _ in random.next() }
                    let turns = Int.random(in: 0..<16, using: &random)
                    let (isCancelled, isStaggered) = (Bool.random(using: &random), Bool.random(using: &random))
                    let contend: @Sendable (Int) async throws -> Int = { index in
                        let bits = plan[index]
                        for _ in 0..<(bits % 9) {
                            if bits >> 8 & 1 == 0 {
                                try await loop.sleep(for: .zero)
                            } else {
                                await Task.yield()
                            }
                        }
                        if bits >> 9 & 3 == 0 { throw Failure() }
                        made.add(index)
                        return index
                    }
                    let discarding: @Sendable (Int) async -> Void = { kept.add($0) }
                    let task = loop.submit {
                        guard isStaggered else {
                            return try await raceEach(plan.indices, discarding: discarding, contend)
                        }
                        return try await staggeredRace(
                            plan.indices, delay: .microseconds(50), attempt: contend, discarding: discarding
                        ).value
                    }
                    for _ in 0..<turns { await EventLoop.yield() }
                    if isCancelled { task.cancel() }
                    do { kept.add(try await task.value) } catch {
                        #expect(error is RaceError || error is CancellationError)
                        #expect(made.count == 0, "\(random.note)")
                    }
                    #expect(made.all.sorted() == kept.all.sorted(), "\(random.note)")
                }
            }
        }
    }

    @Test("tokens: trees that are cancelled from several threads call each handler once, and keep nobody")
    func tokens() async throws {
        for seed in Randomness.seeds {
            var random = Randomness(seed: seed)
            for _ in 0..<(Stress.isOn ? 2_000 : 20) {
                let calls = Log<Int>()
                var tokens = [CancellationToken()]
                for index in 1..<40 { tokens.append(tokens[Int.random(in: 0..<index, using: &random)].child()) }
                for (index, token) in tokens.enumerated() { token.onCancel { calls.add(index) } }
                let all = tokens
                let choices = (0..<4).map { _ in (0..<5).map { _ in Int.random(in: 0..<40, using: &random) } }
                try await Guest.run { loop in
                    let waiting = all.map { token in loop.submit { try await token.waitUntilCancelled() } }
                    try await withThrowingTaskGroup(of: Void.self) { group in
                        for choice in choices {
                            group.addTask {
                                try await Watchdog.onThread {
                                    for index in choice {
                                        all[index].cancel()
                                        _ = all[index].child().isCancelled
                                    }
                                }
                            }
                        }
                        try await group.waitForAll()
                    }
                    all[0].cancel()
                    for task in waiting { try await task.value }
                }
                #expect(calls.all.sorted() == Array(0..<40), "\(random.note)")
                #expect(tokens.allSatisfy { $0.childCount == 0 })
            }
        }
    }

    @Test("many children through one scope leave no memory behind")
    func flat() async throws {
        try await Guest.run { _ in
            let ended = Counter()
            let rounds = Stress.isOn ? 100 : 4
            try await withTaskScope { scope in
                var start = 0
                for round in 0..<rounds {
                    for _ in 0..<1000 { try scope.spawn { ended.add() } }
                    await until { scope.count == 1 }
                    if round == 1 { start = ProcessTable.residentBytes }
                }
                if Stress.isOn { #expect(ProcessTable.residentBytes - start < 4 << 20) }
            }
            #expect(ended.value == rounds * 1000)
        }
    }
}
