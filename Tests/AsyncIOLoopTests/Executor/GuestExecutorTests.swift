import AsyncIOKernel
import AsyncIOTestSupport
import CAsyncIO
import Testing

@testable import AsyncIOLoop

@Suite("A loop as an executor, in guest mode")
struct GuestExecutorTests {
    @Test("a task with the preference runs on the loop, and so do its children", arguments: Drivers.available)
    func children(driver: DriverChoice) async throws {
        let elsewhere = try await Guest.run(.guest(driver)) { loop in
            let elsewhere = Log<String>()
            let note: @Sendable (String) -> Void = { if !loop.isCurrent { elsewhere.add($0) } }
            await Task(executorPreference: loop) {
                note("task")
                async let child: Void = note("async let")
                await child
                await withTaskGroup(of: Void.self) { group in
                    for _ in 0..<10 {
                        group.addTask {
                            await Task.yield()
                            note("group")
                        }
                    }
                }
                await withDiscardingTaskGroup { group in
                    for _ in 0..<10 { group.addTask { note("discarding group") } }
                }
                await Self.concurrent { note("@concurrent") }
                await Task.immediate { note("immediate") }.value
                await DefaultActor().run { note("default actor") }
                note("after a default actor")
            }.value
            await Task.detached(executorPreference: loop) { note("detached") }.value
            return elsewhere.all
        }
        #expect(elsewhere == [])
    }

    @concurrent private static func concurrent(_ body: @Sendable () -> Void) async {
        await Task.yield()
        body()
    }

    private actor DefaultActor {
        func run(_ body: @Sendable () -> Void) async {
            body()
            await Task.yield()
            body()
        }
    }

    @Test("Task.sleep of both clocks waits on the loop, and not too short", arguments: Drivers.available)
    func sleeping(driver: DriverChoice) async throws {
        let (timers, slept, isHome) = try await Guest.run(.guest(driver)) { loop in
            let (before, start) = (loop.snapshot().timersArmed, loop.now)
            var isHome = true
            try await Task.sleep(for: .milliseconds(5))  // sleeps: is what is tested
            isHome = isHome && loop.isCurrent
            try await Task.sleep(for: .milliseconds(5), clock: .suspending)  // sleeps: is what is tested
            isHome = isHome && loop.isCurrent
            try await Task.sleep(until: .now + .milliseconds(5), clock: .continuous)  // sleeps: is what is tested
            isHome = isHome && loop.isCurrent
            try await loop.clock.sleep(for: .milliseconds(5))
            isHome = isHome && loop.isCurrent
            return (loop.snapshot().timersArmed - before, start.duration(to: loop.now), isHome)
        }
        #expect(timers == 4)
        #expect(slept >= .milliseconds(20))
        #expect(isHome)
    }

    @Test("every priority runs, odd ones too", arguments: Drivers.available)
    func priorities(driver: DriverChoice) async throws {
        let ran = try await Guest.run(.guest(driver)) { loop in
            var ran: [UInt8] = []
            for raw: UInt8 in [1, 9, 17, 21, 25, 28, 33, 127, 255] {
                let task = Task(executorPreference: loop, priority: TaskPriority(rawValue: raw)) {
                    loop.isCurrent ? raw : 0
                }
                ran.append(await task.value)
            }
            return ran
        }
        #expect(ran == [1, 9, 17, 21, 25, 28, 33, 127, 255])
    }

    @Test("a preference hops there and back, also between two loops", arguments: Drivers.available)
    func hops(driver: DriverChoice) async throws {
        let other = try LoopThread(options: .guest(driver, name: "other"))
        let places = try await Guest.run(.guest(driver, name: "home")) { loop in
            var places: [String?] = [EventLoop.current?.name]
            for _ in 0..<100 {
                await withTaskExecutorPreference(other.loop) {
                    places.append(EventLoop.current?.name)
                    await Task.yield()
                    places.append(EventLoop.current?.name)
                }
                places.append(EventLoop.current?.name)
            }
            return places
        }
        let there = try await Watchdog.watch {
            await withTaskExecutorPreference(other.loop) { EventLoop.current?.name }
        }
        #expect(places == ["home"] + (0..<100).flatMap { _ in ["other", "other", "home"] })
        #expect(there == "other")
        #expect(EventLoop.current == nil)
        await other.shutdown()
    }

    @Test("the main actor is called without a deadlock", arguments: Drivers.available)
    func mainActor(driver: DriverChoice) async throws {
        let isBack = try await Guest.run(.guest(driver)) { loop in
            for _ in 0..<100 { await Self.visit() }
            return loop.isCurrent
        }
        #expect(isBack)
    }

    @MainActor private static func visit() async { await Task.yield() }

    @Test("a continuation resumed by a foreign thread goes on on the loop", arguments: Drivers.available)
    func resumed(driver: DriverChoice) async throws {
        let home = try await Guest.run(.guest(driver)) { loop in
            var home = 0
            for _ in 0..<200 {
                await withCheckedContinuation { continuation in
                    do { try SystemThread.start(name: "foreign") { continuation.resume() }.detach() } catch {
                        continuation.resume()
                    }
                }
                home += loop.isCurrent ? 1 : 0
            }
            return home
        }
        #expect(home == 200)
    }

    @Test("groups of sleepers that are cancelled again and again end in good order", arguments: Drivers.available)
    func cancelledGroups(driver: DriverChoice) async throws {
        let ended = try await Guest.run(.guest(driver)) { loop in
            let ended = Counter()
            for round in 0..<100 {
                await withTaskGroup(of: Void.self) { outer in
                    for _ in 0..<3 {
                        outer.addTask {
                            await withDiscardingTaskGroup { inner in
                                for number in 0..<3 {
                                    inner.addTask {
                                        async let late: Void = Task.sleep(for: .seconds(100))  // sleeps: is cancelled
                                        try? await loop.sleep(for: .microseconds(round * number))
                                        _ = try? await late
                                        ended.add()
                                    }
                                }
                                await Task.yield()
                                inner.cancelAll()
                            }
                        }
                    }
                    await Task.yield()
                    outer.cancelAll()
                }
            }
            return ended.value
        }
        #expect(ended == 900)
    }
}

@Suite("Actors that live on a loop")
struct LoopActorTests {
    /// Deliberately not protected by anything but the loop.
    private actor Account: LoopActor {
        nonisolated let loop: EventLoop
        private(set) var balance = 0
        private var strays = 0
        init(loop: EventLoop) { self.loop = loop }

        func add(_ amount: Int) async {
            note()
            let before = balance
            balance = before + amount
            await Task.yield()
            note()
        }

        func sleepHere() async throws {
            try await Task.sleep(for: .microseconds(200))  // sleeps: is what is tested
            note()
            preconditionIsolated()
        }

        func move(_ amount: Int, to other: Account) async {
            balance -= amount
            await other.add(amount)
            note()
        }

        func children() async {
            await withTaskGroup(of: Void.self) { group in
                for _ in 0..<5 { group.addTask { await self.add(1) } }
            }
            note()
        }

        private func note() { if !loop.isCurrent { strays += 1 } }
        var strayCount: Int { strays }
    }

    @Test("state is confined to the loop, whoever calls", arguments: Drivers.available)
    func confined(driver: DriverChoice) async throws {
        let thread = try LoopThread(options: .guest(driver))
        let account = Account(loop: thread.loop)
        let (balance, strays) = try await Watchdog.watch {
            await withTaskGroup(of: Void.self) { group in
                for _ in 0..<8 {
                    group.addTask {
                        for _ in 0..<500 { await account.add(1) }
                        await account.children()
                        try? await account.sleepHere()
                    }
                }
            }
            return (await account.balance, await account.strayCount)
        }
        #expect(balance == 8 * 505)
        #expect(strays == 0)
        await thread.shutdown()
    }

    @Test("several loops with actors that call each other", arguments: Drivers.available)
    func network(driver: DriverChoice) async throws {
        let threads = try (0..<4).map { try LoopThread(options: .guest(driver, name: "loop \($0)")) }
        let accounts = threads.map { Account(loop: $0.loop) }
        let (sum, strays) = try await Watchdog.watch {
            let work = threads.enumerated().map { index, thread in
                thread.loop.submit {
                    for round in 0..<500 { await accounts[index].move(1, to: accounts[(index + round) % 4]) }
                }
            }
            for task in work { try await task.value }
            var (sum, strays) = (0, 0)
            for account in accounts {
                sum += await account.balance
                strays += await account.strayCount
            }
            return (sum, strays)
        }
        #expect(sum == 0)
        #expect(strays == 0)
        for thread in threads { await thread.shutdown() }
    }

    @Test("on the loop's thread an actor is used without suspending", arguments: Drivers.available)
    func assumed(driver: DriverChoice) async throws {
        let balance = try await Guest.run(.guest(driver)) { loop in
            let account = Account(loop: loop)
            await account.add(3)
            return Self.balance(of: account)
        }
        #expect(balance == 3)
    }

    private static func balance(of account: Account) -> Int { account.assumeIsolated { $0.balance } }

    @Test("two actors of one loop call each other without leaving it", arguments: Drivers.available)
    func neighbours(driver: DriverChoice) async throws {
        let (ticks, strays) = try await Guest.run(.guest(driver)) { loop in
            let (one, other) = (Account(loop: loop), Account(loop: loop))
            for _ in 0..<100 { await one.move(1, to: other) }
            return (await other.balance, await one.strayCount + other.strayCount)
        }
        #expect(ticks == 100)
        #expect(strays == 0)
    }
}
