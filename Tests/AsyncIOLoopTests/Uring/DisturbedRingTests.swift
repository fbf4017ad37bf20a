import AsyncIO
import AsyncIOKernel
import AsyncIOTestSupport
import Glibc
import SystemPackage
import Testing

@testable import AsyncIOLoop

/// Tracing tools, which inject failures into system calls, do not see inside the ring: here its completions are
/// changed on their way.
@Suite("A ring whose completions are disturbed", hasUring)
struct DisturbedRingTests {
    /// Sends messages back and forth, and expects that they all arrive.
    private static func converse(_ loop: EventLoop, rounds: Int = 200) async throws {
        let (stream, peer) = try await streamWithPeer(on: loop)
        async let answering = onThread {
            for round in 0..<rounds {
                try peer.send([UInt8(truncatingIfNeeded: round)])
                guard try peer.receive() == [UInt8(truncatingIfNeeded: round)] else { return round }
            }
            return rounds
        }
        for round in 0..<rounds {
            let bytes = try #require(try await stream.read())
            #expect(bytes == [UInt8(truncatingIfNeeded: round)])
            try await stream.write(bytes)
        }
        #expect(try await answering == rounds)
        stream.close()
    }

    @Test(
        "a receive that ends for want of buffers, memory or for no reason goes on",
        arguments: [Errno.noBufferSpace, .noMemory, .canceled, .invalidArgument])
    func endedFeeds(code: Errno) async throws {
        try await withRing { loop, driver in
            let faults = Counter()
            driver.disturbance = { event in
                // Beside each message, the end of what brought it; the real entry is known no more.
                let isFeed = driver.flights[event.number]?.purpose == .feed
                guard event.hasMore, event.result > 0, isFeed else { return [event] }
                faults.add()
                driver.end(event.number)
                var end = event
                (end.result, end.hasMore) = (Int32(code.negated), false)
                return [event, end.withoutBuffer]
            }
            try await Self.converse(loop)
            #expect(faults.value > 0)
            driver.disturbance = nil
        }
    }

    @Test("a watch that ends is renewed, once, and nobody misses a wake-up")
    func endedWatches() async throws {
        try await withRing { loop, driver in
            let ended = Counter()
            driver.disturbance = { event in
                let purpose = driver.flights[event.number]?.purpose
                // Not always: the real entries stay, and report as well.
                guard event.hasMore, purpose == .watch || purpose == .wake, ended.value < 20 else { return [event] }
                ended.add()
                var end = event
                end.hasMore = false
                return [end]
            }
            // Unix sockets are watched; other threads wake the loop.
            let pair = try Peer.pair()
            let peer = pair.peer
            let handle = Handle(rawValue: await loop.perform(.adopt(pair.release().release(), .socket)).result)
            for round in 0..<200 {
                async let sending: Void = onThread { try peer.send([UInt8(round)]) }
                #expect(await loop.perform(.receiveBytes(handle, limit: 8, .one)).bytes == [UInt8(round)])
                try await sending
            }
            #expect(ended.value == 20)
            loop.performSoon(closing: handle)
            driver.disturbance = nil
        }
    }

    @Test("a watch that cannot be had ends who waits with the reason, and does not spin")
    func failedWatches() async throws {
        try await withRing { loop, driver in
            driver.disturbance = { event in
                guard driver.flights[event.number]?.purpose == .watch else { return [event] }
                var failed = event
                (failed.result, failed.hasMore) = (Int32(Errno.noMemory.negated), false)
                return [failed]
            }
            let pair = try Peer.pair()
            let peer = pair.peer
            let handle = Handle(rawValue: await loop.perform(.adopt(pair.release().release(), .socket)).result)
            let reading = Task.detached(executorPreference: loop) {
                await loop.perform(.receiveBytes(handle, limit: 8, .one)).result
            }
            await until { await loop.statistics.waitingOperations == 1 }
            try peer.send([1])
            #expect(await reading.value == Errno.noMemory.negated)
            driver.disturbance = nil
            #expect(await loop.perform(.receiveBytes(handle, limit: 8, .one)).bytes == [1], "nothing was lost")
            loop.performSoon(closing: handle)
        }
    }

    @Test("completions that come twice, late and in another order are worked on once")
    func duplicates() async throws {
        try await withRing { loop, driver in
            let repeated = Counter()
            let last = Locked<[RingEvent]>([])
            driver.disturbance = { event in
                guard !event.hasMore else { return [event] }
                repeated.add()
                return last.withLock { last in
                    // The one before comes again, in front of this one, and this one twice.
                    defer { last = [event] }
                    return last + [event, event]
                }
            }
            for _ in 0..<20 { try await Self.converse(loop, rounds: 5) }
            #expect(repeated.value > 0)
            driver.disturbance = nil
        }
    }

    @Test("a spurious edge makes a call that would block, and nothing else")
    func spurious() async throws {
        try await withRing { loop, driver in
            let pair = try Peer.pair()
            let peer = pair.peer
            let handle = Handle(rawValue: await loop.perform(.adopt(pair.release().release(), .socket)).result)
            let reading = Task.detached(executorPreference: loop) {
                await loop.perform(.receiveBytes(handle, limit: 8, .one))
            }
            await until { await loop.statistics.waitingOperations == 1 }
            for _ in 0..<100 {
                var completions = CompletionList()
                driver.core.notice(handle, Interest.readable | Interest.writable, into: &completions)
                #expect(completions.takeAll().isEmpty)
            }
            try peer.send([9])
            #expect(await reading.value.bytes == [9])
            loop.performSoon(closing: handle)
        }
    }
}
