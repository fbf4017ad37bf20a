import AsyncIOKernel
import AsyncIOTestSupport
import Glibc
import Testing

@testable import AsyncIOLoop

@Suite("How a task waits on its loop")
struct SuspensionTests {
    /// Whether it shall do so where it can, on the versions that this has been tried with.
    private static let wanted = unsafe getenv("ASYNCIO_SUSPENSION") == nil

    /// Whether the task that runs here would be suspended without a continuation.
    private static var leavesItsThread: Bool { EventLoop.current?.core.suspendableWord != nil }

    private actor Resident: LoopActor {
        nonisolated let loop: EventLoop
        init(_ loop: EventLoop) { self.loop = loop }
        func look() async -> Bool { await SuspensionTests.look() }
        func wait(_ round: Int, _ cancelled: Counter) async -> Int {
            await SuspensionTests.wait(round, cancelled, loop)
        }
    }

    private actor Stranger {
        func look() async -> Bool { await SuspensionTests.look() }
        func wait(_ round: Int, _ cancelled: Counter, _ loop: EventLoop) async -> Int {
            await SuspensionTests.wait(round, cancelled, loop)
        }
    }

    private nonisolated(nonsending) static func look() async -> Bool {
        await EventLoop.yield()
        return leavesItsThread
    }

    @Test(
        "without a continuation where it runs as the loop's own job, and with one elsewhere",
        arguments: Drivers.available)
    func places(driver: DriverChoice) async throws {
        let places = try await Guest.run(.guest(driver)) { loop in
            var places = [await Self.look()]
            places.append(await Resident(loop).look())
            places.append(await Stranger().look())
            places.append(await Self.look())
            // Its first part belongs to the job of who has started it.
            places.append(await Task.immediate { Self.leavesItsThread }.value)
            async let child = Self.look()
            places.append(await child)
            return places
        }
        let own = Self.wanted
        #expect(places == [own, false, false, own, false, own])
    }

    private nonisolated(nonsending) static func wait(_ round: Int, _ cancelled: Counter, _ loop: EventLoop) async -> Int
    {
        await withTaskCancellationHandler {
            var numbers = Array(repeating: round, count: 8)
            await EventLoop.yield()
            // Sleeps: one of the waits that is tested, and often cancelled.
            try? await loop.sleep(for: round % 3 == 0 ? .seconds(1000) : .microseconds(round % 50))
            await Waiter.suspend { waiter in
                if round % 2 == 0 { loop.callSoon { waiter.wake() } }
                return round % 2 == 0
            }
            numbers.append(-round)
            return numbers.reduce(0, +)
        } onCancel: {
            cancelled.add()
        }
    }

    @Test("a task's memory and handlers are in order, wherever and however it waits", arguments: Drivers.available)
    func order(driver: DriverChoice) async throws {
        let (sums, cancelled) = try await Guest.run(.guest(driver)) { loop in
            let (resident, stranger) = (Resident(loop), Stranger())
            let cancelled = Counter()
            return await withTaskGroup(of: (Int, Int).self) { group in
                for round in 1...300 {
                    group.addTask {
                        let task = Task(executorPreference: loop) {
                            switch round % 4 {
                            case 0: await resident.wait(round, cancelled)
                            case 1: await stranger.wait(round, cancelled, loop)
                            default: await Self.wait(round, cancelled, loop)
                            }
                        }
                        if round % 3 == 0 {
                            for _ in 0..<round % 7 { await EventLoop.yield() }
                            task.cancel()
                        }
                        return (round, await task.value)
                    }
                }
                var sums: [Int: Int] = [:]
                for await (round, sum) in group { sums[round] = sum }
                return (sums, cancelled.value)
            }
        }
        #expect(sums == Dictionary(uniqueKeysWithValues: (1...300).map { ($0, $0 * 7) }))
        #expect(cancelled == 100)
    }

    @Test("woken before it has suspended, by whatever thread, it goes on", arguments: Drivers.available)
    func early(driver: DriverChoice) async throws {
        let home = try await Guest.run(.guest(driver)) { loop in
            var home = 0
            for round in 0..<100 {
                await Waiter.suspend { waiter in
                    guard round % 2 == 0 else {
                        waiter.wake()
                        return true
                    }
                    do { try SystemThread.start(name: "foreign") { waiter.wake() }.join() } catch { waiter.wake() }
                    return true
                }
                home += loop.isCurrent ? 1 : 0
            }
            return home
        }
        #expect(home == 100)
    }

    @Test("its priority is raised while it is suspended", arguments: Drivers.available)
    func escalation(driver: DriverChoice) async throws {
        let priority = try await Guest.run(.guest(driver)) { loop in
            let gate = Gate()
            let parked = Locked<Waiter?>(nil)
            let task = Task(executorPreference: loop, priority: .low) {
                await Waiter.suspend { waiter in
                    parked.withLock { $0 = waiter }
                    gate.open()
                    return true
                }
                return Task.currentPriority
            }
            await gate.pass()
            task.escalatePriority(to: .high)
            parked.withLock { $0.take() }?.wake()
            return await task.value
        }
        #expect(priority >= .high)
    }

    @Test("who wakes it after its loop's end finds it, and it goes on")
    func outlivesLoop() async throws {
        try await Watchdog.watch("a task that outlives its loop") {
            let parked = Locked<Waiter?>(nil)
            let task = try await Self.leaveBehind { waiter in parked.withLock { $0 = waiter } }
            parked.withLock { $0.take() }?.wake()
            #expect(await task.value)
        }
    }

    /// A task that is suspended on a loop which is gone. It tells whether it goes on where such tasks do.
    private static func leaveBehind(_ keep: @escaping @Sendable (Waiter) -> Void) async throws -> Task<Bool, Never> {
        let thread = try LoopThread(options: .guest(name: "short"))
        let gate = Gate()
        let task = Task(executorPreference: thread.loop) {
            #expect(leavesItsThread == wanted)
            await Waiter.suspend { waiter in
                keep(waiter)
                gate.open()
                return true
            }
            return Afterlife.isCurrent
        }
        await gate.pass()
        await thread.shutdown()
        return task
    }
}
