import AsyncIO
import AsyncIOKernel
import AsyncIOTestSupport
import AsyncIOTesting
import Testing

@Suite("Cancelled at every await")
struct CancellationSweepTests {
    @Test("each suspension is visited twice, and the run that nobody cancels once")
    func visits() async throws {
        let sweep = try await cancelAtEveryAwait { time in
            try await time.loop.sleep(for: .seconds(1))
            await EventLoop.yield()
            try await time.loop.sleep(for: .seconds(3_600))
        }
        #expect(sweep.suspensions == 3)
        #expect(sweep.cancellations == 6)
        // One without, and for each moment one that ended before its cancellation.
        #expect(sweep.runs.count == 9)
        #expect("\(sweep)" == "3 suspensions, 6 of 9 runs cancelled")
        // A yield is deaf, and so is a sleep that is over.
        let endings = sweep.runs.map { "\($0.ending)" }
        #expect(endings.filter { $0 == "returned" }.count == 4, "\(endings)")
    }

    @Test("an item that is taken and then lost is found, in the run that loses it")
    func lostItem() async throws {
        let failures = await #expect(throws: CancellationFailures.self) {
            try await cancelAtEveryAwait(
                setUp: { time in
                    let queue = AsyncQueue<Int>(capacity: 1)
                    time.loop.spawn { try await queue.put(7) }
                    return (queue, Log<Int>())
                },
                body: { queue, log in
                    let item = try await queue.get()
                    // Complete or throw, never both: this one has taken, and throws.
                    await EventLoop.yield()
                    try Task.checkCancellation()
                    log.add(item)
                },
                check: { subject, _ in
                    guard subject.1.all.isEmpty else { return }
                    _ = try subject.0.tryGet() ?? { throw Lost() }()
                })
        }
        #expect(failures?.failures.isEmpty == false)
        #expect(failures?.failures.allSatisfy { $0.detail.contains("Lost") } == true)
    }

    struct Lost: Error {}

    @Test("a body that ignores its cancellation and waits for ever is found at once")
    func hung() async throws {
        let failures = await #expect(throws: CancellationFailures.self) {
            try await cancelAtEveryAwait { time in
                do { try await time.loop.sleep(for: .seconds(1)) } catch {
                    // Nobody will ever open it, and it is deaf.
                    await Gate().pass()
                }
            }
        }
        #expect(failures?.failures.count == 1)
        #expect(failures?.failures.first?.point == CancellationPoint(number: 1, moment: .waiting))
        #expect(failures?.failures.first?.detail.contains("hangs") == true)
    }

    @Test("a body that spins when it is cancelled is found, too")
    func spins() async throws {
        let isOver = Counter()
        let failures = await #expect(throws: CancellationFailures.self) {
            try await cancelAtEveryAwait(at: [.waiting]) { time in
                do { try await time.loop.sleep(for: .seconds(1)) } catch { await until { isOver.value > 0 } }
            }
        }
        isOver.add()
        #expect(failures?.failures.first?.detail.contains("spins") == true)
    }

    @Test("what a cancelled run leaves behind is named")
    func leak() async throws {
        let failures = await #expect(throws: CancellationFailures.self) {
            try await cancelAtEveryAwait { time in
                let helper = time.loop.spawn(name: "helper") { try await time.loop.sleep(for: .seconds(5)) }
                try await time.loop.sleep(for: .seconds(1))
                helper.cancel()
            }
        }
        #expect(failures?.failures.first?.detail.contains("helper") == true)
        #expect(failures?.failures.allSatisfy { $0.point.moment == .waiting } == true)
    }

    @Test("an error that is no cancellation is a failure, unless it is accepted")
    func otherErrors() async throws {
        struct Other: Error {}
        let body: @concurrent @Sendable (VirtualTime) async throws -> Void = { time in
            do { try await time.loop.sleep(for: .seconds(1)) } catch { throw Other() }
        }
        await #expect(throws: CancellationFailures.self) { try await cancelAtEveryAwait(body) }
        try await cancelAtEveryAwait(accepting: { $0 is Other }, body)
    }

    @Test("a body that fails by itself is not cancelled any more")
    func failing() async throws {
        struct Own: Error {}
        let failures = await #expect(throws: CancellationFailures.self) {
            try await cancelAtEveryAwait { _ in throw Own() }
        }
        #expect(failures?.runs == 1)
        #expect(failures?.failures.first?.point.number == 0)
    }

    @Test("a body without a suspension is reported as such")
    func nothingToVisit() async throws {
        let sweep = try await cancelAtEveryAwait { _ in }
        #expect(sweep.suspensions == 0 && sweep.cancellations == 0)
    }

    @Test("children are cancelled with the body, and every job of the loop is a place to cancel at")
    func children() async throws {
        let sweep = try await cancelAtEveryAwait(at: [.betweenJobs]) { time in
            async let one: Void = time.loop.sleep(for: .seconds(1))
            async let two: Void = {
                for _ in 0..<5 { await EventLoop.yield() }
                try await time.loop.sleep(for: .seconds(2))
            }()
            _ = try await (one, two)
        }
        #expect(sweep.cancellations > 8, "\(sweep)")
    }
}
