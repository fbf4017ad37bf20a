import AsyncIO
import AsyncIOKernel
import AsyncIOLoop
import AsyncIOTestSupport
import CAsyncIO
import Glibc
import Synchronization
import SystemPackage
import Testing

/// Bugs that were found once, each by the name of what went wrong.
@Suite("What went wrong once", .timeLimit(.minutes(30)))
struct RegressionTests {
    private let onLoop = Setting(driver: .epoll, caller: .onLoop)

    private actor Shared {
        func nap(_ loop: EventLoop) async { try? await loop.sleep(for: .microseconds(50)) }
    }

    @Test("a wait that ends on another thread than the loop's gives its slot back on the loop")
    func slotsOfVisitors() async throws {
        let left = try await withLoop(onLoop) { loop in
            let shared = Shared()
            await withDiscardingTaskGroup { group in
                for number in 0..<8 {
                    let elsewhere: (any TaskExecutor)? = number % 2 == 0 ? globalConcurrentExecutor : nil
                    group.addTask(executorPreference: elsewhere) { for _ in 0..<200 { await shared.nap(loop) } }
                }
            }
            // The last slots may still be on their way through the inbox.
            await until { await loop.statistics.waitingOperations == 0 }
            return await loop.statistics.waitingOperations
        }
        #expect(left == 0)
    }

    @Test("a task that tries again and again although it is cancelled cannot keep the loop from ending")
    func deafTask() async throws {
        let reports = Errors()
        let options = EventLoop.Options(
            name: "test", mode: .guest, grace: .milliseconds(50), interrupts: [], errorHandler: reports.handler)
        try await onThread {
            try EventLoop.run(options: options) {
                guard let loop = EventLoop.current else { return }
                loop.spawn(name: "deaf") {
                    // After the end of the loop the test lets it go.
                    while !Self.over.load(ordering: .relaxed) { try? await loop.sleep(for: .seconds(1)) }
                }
                await EventLoop.yield()
            }
        }
        Self.over.store(true, ordering: .relaxed)
        #expect(reports.lines.contains { $0.contains("deaf") })
    }

    private static let over = Atomic(false)

    @Test("a callback for later is not called when the loop ends early")
    func lateCallback() async throws {
        let call = try await withLoop(onLoop) { loop in loop.callLater(.seconds(3600)) { Self.called.add() } }
        #expect(Self.called.value == 0)
        #expect(call.isCancelled)
    }

    private static let called = Counter()

    @Test("a descriptor of others that is closed while a copy lives does not keep the loop turning")
    func foreignCopy() async throws {
        let polls = try await withLoop(onLoop) { loop in
            var pair: [CInt] = [0, 0]
            try SystemCall.call("socketpair") {
                unsafe socketpair(AF_UNIX, CInt(SOCK_STREAM.rawValue) | CInt(SOCK_CLOEXEC.rawValue), 0, &pair)
            }
            let far = Descriptor(owning: pair[1])
            let copy = Descriptor(owning: CInt(SystemCall.result { dup(pair[0]) }))
            let number = pair[0]
            async let waiting: Void = loop.waitReadable(number)
            await until { await loop.statistics.waitingOperations == 1 }
            _ = SystemCall.close(number)
            let farNumber = far.number
            _ = SystemCall.result { unsafe write(farNumber, "x", 1) }
            try await waiting
            let before = await loop.statistics.polls
            try await loop.sleep(for: .milliseconds(200))
            let after = await loop.statistics.polls
            _ = (copy.number, far.number)
            return after - before
        }
        #expect(polls < 20)
    }

    @Test("urgent data do not hide the bytes behind them")
    func urgentData() async throws {
        let text = try await withLoop(onLoop) { loop in
            let (stream, peer) = try await streamWithPeer(on: loop)
            async let first = stream.read()
            await until { await loop.statistics.waitingOperations == 1 }
            try peer.send(Array("first".utf8))
            var all = try await first ?? []
            let number = peer.descriptor
            _ = SystemCall.result { unsafe Glibc.send(number, "abc!", 4, CInt(MSG_OOB)) }
            try peer.send(Array("after".utf8))
            while all.count < 13, let more = try await stream.read() { all += more }
            return String(decoding: all, as: UTF8.self)
        }
        #expect(text == "firstabcafter")
    }

    @Test("limits of zero and less count as one", arguments: [0, -1, Int.min])
    func hostileLimits(limit: Int) async throws {
        var fairness = Fairness()
        fairness.jobsPerPoll = limit
        fairness.operationsPerJob = limit
        var options = EventLoop.Options(name: "test", fairness: fairness, mode: .guest, interrupts: [])
        options.blockingThreads = limit
        let made = options
        let value = try await onThread {
            try EventLoop.run(options: made) {
                for _ in 0..<10 { try await EventLoop.current?.sleep(for: .zero) }
                return try await offload { 42 }
            }
        }
        #expect(value == 42)
    }

    @Test("offloaded work that waits for other offloaded work gets its thread")
    func workForWork() async throws {
        let sum = try await withLoop(onLoop) { loop in
            var sum = 0
            for round in 0..<200 {
                // The first is about to be taken by an idle thread when the second comes.
                let gate = Condition(false)
                async let first: Int = loop.offload {
                    _ = gate.wait { $0 ? true : nil }
                    return round
                }
                async let second: Void = loop.offload {
                    gate.withLock { $0 = true }
                    gate.broadcast()
                }
                sum += try await first
                try await second
            }
            return sum
        }
        #expect(sum == 199 * 200 / 2)
    }

    @Test("a Unix address is refused for TCP, with the remedy")
    func unixAddress() async throws {
        let address = try SocketAddress.unix(path: "/tmp/nothing")
        let message = try await withLoop(onLoop) { loop in
            do {
                _ = try await TCPStream.connect(to: address, on: loop)
                return "connected"
            } catch { return "\(error)" }
        }
        #expect(message == "connect unix:/tmp/nothing: TCP needs an IPv4 or IPv6 address")
    }
}
