#if NIO
import AsyncIONIO
import AsyncIOTestSupport
import AsyncIOTesting
import NIOCore
import Testing

@Suite("A loop, as SwiftNIO sees it", .timeLimit(.minutes(5)))
struct NIOLoopTests {
    @Test("is the same object each time, and knows whether it is the caller's", arguments: Setting.everywhere)
    func identity(_ setting: Setting) async throws {
        let isRight = try await withLoop(setting) { loop in
            let isThere = try await loop.nio.submit { loop.nio.inEventLoop }.get()
            return loop.nio === loop.nio && loop.nio.inEventLoop == loop.isCurrent && isThere
        }
        #expect(isRight)
    }

    @Test("runs what is executed later and in order, also if the caller runs on it", arguments: Setting.onLoop)
    func executesLater(_ setting: Setting) async throws {
        let order = try await withLoop(setting) { loop in
            let order = NIOLockedList<Int>()
            for number in 1...3 { loop.nio.execute { order.append(number) } }
            order.append(0)
            _ = try await loop.nio.submit { order.append(4) }.get()
            return order.all
        }
        #expect(order == [0, 1, 2, 3, 4])
    }

    @Test("lets a task that awaits its future go on where it was", arguments: Setting.onLoop)
    func futures(_ setting: Setting) async throws {
        let isRight = try await withLoop(setting) { loop in
            let promise = loop.nio.makePromise(of: Int.self)
            loop.callLater(.milliseconds(1)) { promise.succeed(7) }
            return try await promise.futureResult.get() == 7 && loop.isCurrent
        }
        #expect(isRight)
    }

    @Test("makes calls that other threads bring about on its own", arguments: Setting.all)
    func otherThreads(_ setting: Setting) async throws {
        let isHome = try await withLoop(setting) { loop in
            let promise = loop.nio.makePromise(of: Void.self)
            let isHome = promise.futureResult.map { loop.isCurrent }
            try await onThread { promise.succeed() }
            return try await isHome.get()
        }
        #expect(isHome)
    }

    @Test("runs timers by the loop's own clock, and not those that were cancelled", arguments: Setting.timeless)
    func timers(_ setting: Setting) async throws {
        let (order, passed, outcome) = try await withLoop(setting) { loop in
            let order = NIOLockedList<Int>()
            let start = loop.now
            let late = loop.nio.scheduleTask(in: .hours(2)) { order.append(2) }
            let soon = loop.nio.scheduleTask(deadline: loop.nio.now + .hours(1)) { order.append(1) }
            let never = loop.nio.scheduleTask(in: .hours(3)) { order.append(3) }
            never.cancel()
            try await soon.futureResult.get()
            try await late.futureResult.get()
            let passed = start.duration(to: loop.now)
            try await loop.sleep(for: .seconds(7_200))
            return (order.all, passed, never.futureResult)
        }
        #expect(order == [1, 2])
        #expect(passed >= .seconds(7_200))
        await #expect(throws: NIOCore.EventLoopError.cancelled) { try await outcome.get() }
    }

    @Test("calls back after a time by its clock", arguments: Setting.timeless)
    func callbacks(_ setting: Setting) async throws {
        let calls = try await withLoop(setting) { loop in
            let calls = NIOLockedList<String>()
            loop.nio.scheduleCallback(in: .hours(1), handler: Callback(calls: calls))
            loop.nio.scheduleCallback(in: .minutes(1), handler: Callback(calls: calls)).cancel()
            try await loop.sleep(for: .seconds(3_601))
            return calls.all
        }
        #expect(calls == ["cancelled", "called"])
    }

    @Test("fails at its end what was scheduled, and still runs what is executed then", arguments: Drivers.available)
    func atTheEnd(_ driver: DriverChoice) async throws {
        let thread = try LoopThread(options: .guest(driver, name: "test", errors: Errors()))
        let face = thread.loop.nio
        let timer = face.scheduleTask(in: .hours(1)) {}
        await thread.shutdown()
        await #expect(throws: NIOCore.EventLoopError.shutdown) { try await timer.futureResult.get() }
        #expect(try await face.submit { face.inEventLoop }.get())
    }

    @Test("cannot be shut down by SwiftNIO", arguments: Setting.onLoop)
    func notToBeShutDown(_ setting: Setting) async throws {
        let goesOn = try await withLoop(setting) { loop in
            do { try await loop.nio.shutdownGracefully() } catch NIOCore.EventLoopError.unsupportedOperation {
                return try await loop.nio.submit { true }.get()
            }
            return false
        }
        #expect(goesOn)
    }

    @Test("stands in a group for each loop of ours")
    func group() async throws {
        let group = try LoopGroup(count: 2)
        let loops = group.nio.makeIterator().map { $0 as AnyObject }
        #expect(loops.count == 2 && loops.first === group.loops.first?.nio)
        #expect(group.nio.next() !== group.nio.next())
        let here = try await group.loops[1].submit { group.nio.any() === group.loops[1].nio }.value
        #expect(here)
        try await group.shutdown()
    }

    @Test("isolates actors as SwiftNIO's own loops do", arguments: Setting.everywhere)
    func actors(_ setting: Setting) async throws {
        let count = try await withLoop(setting) { loop in try await Counter(loop.nio).countOnLoop() }
        #expect(count == 1)
    }
}

/// An actor in the way that SwiftNIO's users write one.
private actor Counter {
    private let loop: any NIOCore.EventLoop
    private var count = 0
    nonisolated var unownedExecutor: UnownedSerialExecutor { unsafe loop.executor.asUnownedSerialExecutor() }

    init(_ loop: any NIOCore.EventLoop) { self.loop = loop }

    func countOnLoop() throws -> Int {
        count += 1
        guard loop.inEventLoop else { throw ChannelError.inappropriateOperationForState }
        return count
    }
}

private final class Callback: NIOScheduledCallbackHandler, Sendable {
    private let calls: NIOLockedList<String>
    init(calls: NIOLockedList<String>) { self.calls = calls }
    func handleScheduledCallback(eventLoop: some NIOCore.EventLoop) { calls.append("called") }
    func didCancelScheduledCallback(eventLoop: some NIOCore.EventLoop) { calls.append("cancelled") }
}
#endif
