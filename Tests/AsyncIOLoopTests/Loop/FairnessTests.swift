import AsyncIOKernel
import AsyncIOTestSupport
import Glibc
import Testing

@testable import AsyncIOLoop

@Suite("Nobody is starved")
struct FairnessTests {
    /// Two tasks pass a byte to and fro, until told to stop or for a number of rounds.
    private static func echo(_ loop: EventLoop, _ left: CInt, _ right: CInt, rounds: Int) async throws {
        let answer = loop.spawn {
            for _ in 0..<rounds {
                try await loop.waitReadable(right)
                Bytes.read(1, from: right)
                Bytes.write(1, to: right)
            }
        }
        for _ in 0..<rounds {
            Bytes.write(1, to: left)
            try await loop.waitReadable(left)
            Bytes.read(1, from: left)
        }
        try await answer.value
    }

    @Test("a timer that arms itself again with no delay leaves input and output alive", arguments: Drivers.available)
    func zeroTimer(driver: DriverChoice) async throws {
        let pair = try SocketPair()
        let (left, right) = (pair.left.number, pair.right.number)
        let fired = try await Guest.run(.guest(driver)) { loop in
            let fired = Counter()
            let stop = Gate()
            @Sendable func again() {
                fired.add()
                if !stop.isOpen { loop.callLater(.zero) { again() } }
            }
            again()
            try await Self.echo(loop, left, right, rounds: 200)
            stop.open()
            return fired.value
        }
        #expect(fired > 100)
    }

    @Test("tasks that only yield starve neither a timer nor a socket", arguments: Drivers.available)
    func yielding(driver: DriverChoice) async throws {
        let pair = try SocketPair()
        let (left, right) = (pair.left.number, pair.right.number)
        try await Guest.run(.guest(driver)) { loop in
            let stop = Gate()
            let busy = (0..<8).map { _ in loop.spawn { while !stop.isOpen { await Task.yield() } } }
            let start = loop.now
            try await loop.sleep(for: .milliseconds(10))
            #expect(start.duration(to: loop.now) < .seconds(2))
            try await Self.echo(loop, left, right, rounds: 50)
            stop.open()
            for task in busy { try await task.value }
        }
    }

    @Test("a reader whose input is always there starves neither a timer nor another task", arguments: Drivers.available)
    func alwaysReady(driver: DriverChoice) async throws {
        let flag = try Flag()
        let number = flag.number
        Flag.raise(number)
        let (rounds, turns) = try await Guest.run(.guest(driver)) { loop in
            let stop = Gate()
            let reader = loop.spawn {
                var rounds = 0
                while !stop.isOpen {
                    try await loop.waitReadable(number)
                    rounds += 1
                }
                return rounds
            }
            let other = loop.spawn {
                var turns = 0
                while !stop.isOpen {
                    await Task.yield()
                    turns += 1
                }
                return turns
            }
            try await loop.sleep(for: .milliseconds(20))
            stop.open()
            return (try await reader.value, try await other.value)
        }
        #expect(rounds > 1)
        #expect(turns > 10)
    }

    @Test("a job completes so many operations at once, then it queues again", arguments: Drivers.available)
    func budget(driver: DriverChoice) async throws {
        // A file never waits: each operation ends at once.
        let file = Descriptor(owning: unsafe open("/proc/self/exe", O_RDONLY | O_CLOEXEC))
        let number = file.number
        let (turns, immediate) = try await Guest.run(.guest(driver, fairness: Fairness(operationsPerJob: 10))) { loop in
            let stop = Gate()
            let turns = Counter()
            loop.spawn {
                while !stop.isOpen {
                    turns.add()
                    await Task.yield()
                }
            }
            let before = loop.snapshot().immediateOperations
            for _ in 0..<1000 { try await loop.waitReadable(number) }
            stop.open()
            return (turns.value, loop.snapshot().immediateOperations - before)
        }
        #expect(immediate >= 1000)
        // A yield takes two turns.
        #expect(turns >= 40, "the other task had a turn after every ten operations")
    }

    @Test(
        "a flood of callbacks from another thread starves neither timers nor tasks",
        .enabled(if: Sanitizer.isNone, "a loop that it slows down never comes to the end of the flood"),
        arguments: Drivers.available)
    func flood(driver: DriverChoice) async throws {
        let ran = try await Watchdog.onThread {
            let thread = try LoopThread(options: .guest(driver))
            let loop = thread.loop
            let (ran, stop) = (Counter(), Gate())
            let flooder = try SystemThread.start(name: "flooder") {
                while !stop.isOpen { for _ in 0..<100 { loop.callSoon { ran.add() } } }
            }
            defer {
                stop.open()
                flooder.join()
                thread.close()
            }
            try loop.submit {
                for _ in 0..<5 { try await loop.sleep(for: .milliseconds(2)) }
            }.wait(timeout: .seconds(50))
            return ran.value
        }
        #expect(ran > 0)
    }

    @Test("a low priority task runs while high priority tasks flood the loop", arguments: Drivers.available)
    func priorities(driver: DriverChoice) async throws {
        try await Guest.run(.guest(driver)) { loop in
            let stop = Gate()
            let busy = (0..<8).map { _ in
                Task(executorPreference: loop, priority: .high) { while !stop.isOpen { await Task.yield() } }
            }
            await Task(executorPreference: loop, priority: .background) {
                for _ in 0..<10 { await Task.yield() }
            }.value
            stop.open()
            for task in busy { await task.value }
        }
    }

    @Test(
        "one huge write lets the others have their turns, also where the kernel takes all of it at once",
        arguments: Drivers.available)
    func hugeWrite(driver: DriverChoice) async throws {
        let pair = try SocketPair()
        let left = dup(pair.left.number)
        let (sent, turns) = try await Guest.run(.guest(driver)) { loop in
            (loop.core.driver as? EpollDriver)?.core.bytesPerTurn = 1000
            (loop.core.driver as? UringDriver)?.core.bytesPerTurn = 1000
            let handle = Handle(rawValue: await loop.perform(.adopt(left, .socket)).result)
            let (turns, isDone) = (Counter(), Gate())
            loop.spawn {
                while !isDone.isOpen {
                    turns.add()
                    await EventLoop.yield()
                }
            }
            let bytes = UnsafeMutableRawBufferPointer.allocate(byteCount: 50_000, alignment: 1)
            defer { unsafe bytes.deallocate() }
            unsafe bytes.initializeMemory(as: UInt8.self, repeating: 7)
            let outcome = unsafe await loop.perform(.send(handle, UnsafeRawBufferPointer(bytes)))
            isDone.open()
            loop.performSoon(closing: handle)
            return (outcome.result, turns.value)
        }
        #expect(sent == 50_000)
        #expect(turns >= 40)
        #expect(Bytes.read(100_000, from: pair.right.number) == 50_000)
    }
}
