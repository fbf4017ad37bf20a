import AsyncIOKernel
import AsyncIOTestSupport
import Glibc
import SystemPackage
import Testing

@testable import AsyncIOLoop

@Suite("Waiting for other people's descriptors")
struct ReadinessTests {
    private static func code(_ body: () async throws -> Void) async -> Errno? {
        do { try await body() } catch let error as IOError { return error.code } catch {}
        return nil
    }

    @Test("a pipe is readable when something is in it, and again after that", arguments: Drivers.available)
    func pipes(driver: DriverChoice) async throws {
        let pipe = try Pipe()
        let (reader, writer) = (pipe.reader.number, pipe.writer.number)
        let sum = try await Guest.run(.guest(driver)) { loop in
            let waits = loop.spawn {
                var sum = 0
                for _ in 0..<100 {
                    try await loop.waitReadable(reader)
                    sum += Bytes.read(1, from: reader)
                }
                return sum
            }
            for _ in 0..<100 {
                try await loop.waitWritable(writer)
                Bytes.write(1, to: writer)
                await Task.yield()
            }
            return try await waits.value
        }
        #expect(sum == 100)
    }

    @Test("a full pipe becomes writable when it is read", arguments: Drivers.available)
    func writable(driver: DriverChoice) async throws {
        let pipe = try Pipe()
        let (reader, writer) = (pipe.reader.number, pipe.writer.number)
        while Bytes.write(4096, to: writer) > 0 {}
        let wasFull = try await Guest.run(.guest(driver)) { loop in
            let isWritable = Gate()
            let waits = loop.spawn {
                try await loop.waitWritable(writer)
                isWritable.open()
            }
            for _ in 0..<20 { await Task.yield() }
            let wasFull = !isWritable.isOpen
            while Bytes.read(65_536, from: reader) > 0 {}
            try await waits.value
            return wasFull
        }
        #expect(wasFull)
    }

    @Test("the end of a pipe wakes both sides", arguments: Drivers.available)
    func hangUp(driver: DriverChoice) async throws {
        let one = try Pipe()
        let other = try Pipe()
        let reader = one.reader.number
        let writer = other.writer.number
        while Bytes.write(4096, to: writer) > 0 {}
        // The other ends are closed by hand.
        let ends = [take(one.writer), take(other.reader)]
        try await Guest.run(.guest(driver)) { loop in
            let waits = [
                loop.spawn { try await loop.waitReadable(reader) }, loop.spawn { try await loop.waitWritable(writer) },
            ]
            for _ in 0..<5 { await Task.yield() }
            for end in ends { _ = SystemCall.close(end) }
            for wait in waits { try await wait.value }
        }
        #expect(Bytes.read(1, from: reader) == 0)
    }

    private func take(_ descriptor: borrowing Descriptor) -> CInt {
        let copy = dup(descriptor.number)
        let null = Descriptor(owning: unsafe open("/dev/null", O_RDWR | O_CLOEXEC))
        dup2(null.number, descriptor.number)
        return copy
    }

    @Test("a hang-up that nobody waits for does not heat the loop", arguments: Drivers.available)
    func cool(driver: DriverChoice) async throws {
        let pair = try SocketPair()
        let (left, right) = (pair.left.number, pair.right.number)
        let ticks = try await Guest.run(.guest(driver)) { loop in
            // Registered once, for reading; then the peer goes, and nobody reads.
            Bytes.write(1, to: right)
            try await loop.waitReadable(left)
            shutdown(right, CInt(SHUT_RDWR))
            shutdown(left, CInt(SHUT_RDWR))
            let before = loop.core.counters.ticks
            try await loop.sleep(for: .milliseconds(100))
            return loop.core.counters.ticks - before
        }
        #expect(ticks < 10)
    }

    @Test("regular files and folders are always ready", arguments: Drivers.available, ["/proc/self/exe", "/"])
    func files(driver: DriverChoice, path: String) async throws {
        let file = Descriptor(owning: unsafe open(path, O_RDONLY | O_CLOEXEC))
        let number = file.number
        try await Guest.run(.guest(driver)) { loop in
            for _ in 0..<3 {
                try await loop.waitReadable(number)
                try await loop.waitWritable(number)
            }
        }
    }

    @Test("a number that is not open is refused", arguments: Drivers.available, [-1, 19_999, CInt.max, CInt.min])
    func closed(driver: DriverChoice, number: CInt) async throws {
        let codes = try await Guest.run(.guest(driver)) { loop in
            [
                await Self.code { try await loop.waitReadable(number) },
                await Self.code { try await loop.waitWritable(number) },
            ]
        }
        #expect(codes == [.badFileDescriptor, .badFileDescriptor])
    }

    @Test("a second waiter for the same is refused, one for the other direction is not", arguments: Drivers.available)
    func busy(driver: DriverChoice) async throws {
        let pair = try SocketPair()
        let (left, right) = (pair.left.number, pair.right.number)
        let code = try await Guest.run(.guest(driver)) { loop in
            let first = loop.spawn { try await loop.waitReadable(left) }
            for _ in 0..<3 { await Task.yield() }
            let code = await Self.code { try await loop.waitReadable(left) }
            try await loop.waitWritable(left)
            Bytes.write(1, to: right)
            try await first.value
            return code
        }
        #expect(code == .resourceBusy)
    }

    @Test("a cancelled wait ends, and its place is free", arguments: Drivers.available)
    func cancelled(driver: DriverChoice) async throws {
        let flag = try Flag()
        let number = flag.number
        let waiting = try await Guest.run(.guest(driver)) { loop in
            for _ in 0..<50 {
                let wait = loop.spawn { try await loop.waitReadable(number) }
                await Task.yield()
                wait.cancel()
                await #expect(throws: CancellationError.self) { try await wait.value }
            }
            Flag.raise(number)
            try await loop.waitReadable(number)
            let cancelled = Task(executorPreference: loop) { try await loop.waitReadable(number) }
            cancelled.cancel()
            await #expect(throws: CancellationError.self) { try await cancelled.value }
            return loop.core.operations.count
        }
        #expect(waiting == 0)
    }

    @Test("a number that is given away again is somebody else", arguments: Drivers.available)
    func reused(driver: DriverChoice) async throws {
        let rounds = try await Guest.run(.guest(driver)) { loop in
            var rounds = 0
            for _ in 0..<2000 {
                // The kernel gives the lowest free number, so nearly always the same one.
                let flag = try Flag()
                let number = flag.number
                let isReady = Gate()
                let wait = loop.spawn {
                    try await loop.waitReadable(number)
                    isReady.open()
                }
                await Task.yield()
                await Task.yield()
                // An event of the number's last owner would open the gate.
                if isReady.isOpen { Issue.record("an event of an earlier owner") }
                Flag.raise(number)
                try await wait.value
                rounds += 1
            }
            return rounds
        }
        #expect(rounds == 2000)
    }

    @Test("tasks of other threads wait and are cancelled, too", arguments: Drivers.available)
    func elsewhere(driver: DriverChoice) async throws {
        let flag = try Flag()
        let number = flag.number
        let thread = try LoopThread(options: .guest(driver))
        let loop = thread.loop
        try await Watchdog.watch {
            for _ in 0..<200 {
                let wait = Task.detached { try await loop.waitReadable(number) }
                wait.cancel()
                await #expect(throws: CancellationError.self) { try await wait.value }
            }
            let wait = Task.detached { try await loop.waitReadable(number) }
            while await loop.statistics.waitingOperations < 1 { await Task.yield() }
            Flag.raise(number)
            try await wait.value
        }
        await thread.shutdown()
    }

    @Test("statistics count what has been done", arguments: Drivers.available)
    func statistics(driver: DriverChoice) async throws {
        let flag = try Flag()
        let number = flag.number
        let (during, after) = try await Guest.run(.guest(driver)) { loop in
            let wait = loop.spawn { try await loop.waitReadable(number) }
            let call = loop.callLater(.seconds(1000)) {}
            loop.callSoon {}
            await Task.yield()
            await Task.yield()
            let during = await loop.statistics
            call.cancel()
            Flag.raise(number)
            try await wait.value
            return (during, await loop.statistics)
        }
        #expect(during.driver == driver.rawValue)
        #expect(during.waitingOperations == 1)
        #expect(during.pendingTimers == 1)
        #expect(during.backgroundTasks == 1)
        #expect(during.calls == 1)
        #expect(after.waitingOperations == 0)
        #expect(after.pendingTimers == 0)
        #expect(after.timersArmed == 1)
        #expect(after.timersCancelled == 1)
        #expect(after.timersFired == 0)
        #expect(after.operations == 1)
        #expect(after.backgroundTasks == 0)
        #expect(after.jobs > during.jobs)
        #expect(after.polls > 0 && after.ticks >= after.polls)
    }
}
