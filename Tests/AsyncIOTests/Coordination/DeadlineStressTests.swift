import AsyncIO
import AsyncIOTestSupport
import Glibc
import Testing

@Suite("Timeouts under stress")
struct DeadlineStressTests {
    @Test("expirations race with cancellations from other threads: each body ends once, by one or the other")
    func raceWithCancellation() async throws {
        let thread = try LoopThread(options: .guest(name: "clock"))
        let rounds = Stress.isOn ? 50_000 : 500
        let randomness = Randomness()
        let counts = Log<(timeouts: Int, cancellations: Int, values: Int)>()
        try await Watchdog.watch {
            await withTaskGroup { group in
                for lane in 0..<4 {
                    group.addTask {
                        var dice = Randomness(seed: randomness.seed &+ UInt64(lane))
                        var (timeouts, cancellations, values) = (0, 0, 0)
                        for _ in 0..<rounds {
                            let limit = Duration.microseconds(Int.random(in: -1...60, using: &dice))
                            let nap = Duration.microseconds(Int.random(in: 0...60, using: &dice))
                            let isOnLoop = Bool.random(using: &dice)
                            let work: @Sendable () async throws -> Void = {
                                try await withTimeout(limit) { try await thread.loop.sleep(for: nap) }
                            }
                            let task =
                                isOnLoop
                                ? Task(executorPreference: thread.loop) { try await work() }
                                : Task { try await work() }
                            if Int.random(in: 0...2, using: &dice) == 0 {
                                await Task.yield()
                                task.cancel()
                            }
                            do {
                                try await task.value
                                values += 1
                            } catch is TimeoutError {
                                timeouts += 1
                            } catch is CancellationError {
                                cancellations += 1
                            } catch {
                                Issue.record("\(error), \(randomness.note)")
                            }
                        }
                        counts.add((timeouts, cancellations, values))
                    }
                }
            }
        }
        let all = counts.all
        #expect(all.map { $0.timeouts + $0.cancellations + $0.values } == Array(repeating: rounds, count: 4))
        #expect(all.contains { $0.timeouts > 0 } && all.contains { $0.cancellations > 0 })
        let statistics = await thread.loop.statistics
        #expect(statistics.pendingTimers == 0)
        await thread.shutdown()
    }

    @Test(
        "a queue that is emptied under tiny limits loses nothing: what a late body has got is returned",
        arguments: Setting.onLoop)
    func nothingLost(setting: Setting) async throws {
        let rounds = Stress.isOn ? 200_000 : 3000
        try await withLoop(setting) { loop in
            let queue = AsyncQueue<Int>(capacity: 1)
            async let putting: Void = {
                for number in 0..<rounds { try await queue.put(number) }
                queue.finish()
            }()
            var next = 0
            var (timeouts, isOver) = (0, false)
            while !isOver {
                do {
                    let item = try await withTimeout(.microseconds((next + timeouts) % 3)) { try await queue.next() }
                    if let item {
                        #expect(item == next)
                        next += 1
                    } else {
                        isOver = true
                    }
                } catch is TimeoutError {
                    timeouts += 1
                    // The putter has its turn.
                    await EventLoop.yield()
                    if let item = queue.tryGet() {
                        #expect(item == next)
                        next += 1
                    }
                }
            }
            #expect(next == rounds)
            #expect(timeouts > 0)
            try await putting
        }
    }
}
