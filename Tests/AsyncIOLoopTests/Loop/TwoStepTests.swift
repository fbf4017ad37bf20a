import AsyncIOKernel
import AsyncIOTestSupport
import SystemPackage
import Testing

@testable import AsyncIOLoop

/// A driver may tell a reader that something has come, and have it ask again: what happens in between.
@Suite("Between the two steps of a read")
struct TwoStepTests {
    /// The driver is asked after every job: there are no turns without a poll.
    private static let fairness = Fairness(jobsPerPoll: 1)

    private static func socket(on loop: EventLoop) async throws -> (Handle, Peer) {
        let pair = try Peer.pair()
        let peer = pair.peer
        return (Handle(rawValue: await loop.perform(.adopt(pair.release().release(), .socket)).result), peer)
    }

    private static func read(_ handle: Handle, on loop: EventLoop, ended: Counter = Counter()) -> Task<Outcome, Never> {
        Task.detached(executorPreference: loop) {
            let outcome = await loop.perform(.receiveBytes(handle, limit: 8, .two))
            ended.add()
            return outcome
        }
    }

    @Test("the place of the reader stays its own", arguments: Drivers.available)
    func keepsPlace(driver: DriverChoice) async throws {
        try await Guest.run(.guest(driver, fairness: Self.fairness)) { loop in
            let (handle, peer) = try await Self.socket(on: loop)
            for round in 0..<100 {
                let ended = Counter()
                let first = Self.read(handle, on: loop, ended: ended)
                await until { await loop.statistics.waitingOperations == 1 }
                // Whoever tries at every turn finds it at work, until it has ended.
                let rival = Task.detached(executorPreference: loop) {
                    while ended.value == 0 {
                        let outcome = await loop.perform(.receiveBytes(handle, limit: 8, .one))
                        if outcome.result != Errno.resourceBusy.negated { return outcome.result }
                        await EventLoop.yield()
                    }
                    return 0
                }
                try peer.send([UInt8(round)])
                #expect(await first.value.bytes == [UInt8(round)])
                #expect(await rival.value == 0)
            }
            loop.performSoon(closing: handle)
        }
    }

    @Test("a close ends it as one that waits", arguments: Drivers.available)
    func closed(driver: DriverChoice) async throws {
        try await Guest.run(.guest(driver, fairness: Self.fairness)) { loop in
            var ends = Set<Int>()
            for turns in 0..<8 {
                let (handle, peer) = try await Self.socket(on: loop)
                let reader = Self.read(handle, on: loop)
                await until { await loop.statistics.waitingOperations == 1 }
                try peer.send([1])
                for _ in 0..<turns { await EventLoop.yield() }
                loop.performSoon(closing: handle)
                ends.insert(await reader.value.result)
            }
            #expect(ends == [1, Errno.canceled.negated])
        }
    }

    @Test("a cancellation takes nothing away", arguments: Drivers.available)
    func cancelled(driver: DriverChoice) async throws {
        try await Guest.run(.guest(driver, fairness: Self.fairness)) { loop in
            for turns in 0..<8 {
                let (handle, peer) = try await Self.socket(on: loop)
                let reader = Self.read(handle, on: loop)
                await until { await loop.statistics.waitingOperations == 1 }
                try peer.send([1])
                for _ in 0..<turns { await EventLoop.yield() }
                reader.cancel()
                let outcome = await reader.value
                #expect(outcome.bytes == [1] || outcome.result == Errno.canceled.negated)
                // And the place is free for the next one.
                if outcome.bytes == nil { #expect(await Self.read(handle, on: loop).value.bytes == [1]) }
                try peer.send([2])
                #expect(await Self.read(handle, on: loop).value.bytes == [2])
                loop.performSoon(closing: handle)
            }
        }
    }
}
