import AsyncIO
import AsyncIOKernel
import AsyncIOTestSupport
import Foundation
import Synchronization
import Testing

@testable import AsyncIOInspection

@Suite("A hostile inspector")
struct HostileTests {
    @Test("that sends megabytes without a newline is cut off after the first kilobyte")
    func endlessLine() async throws {
        try await withSocket { path in
            let inspector = try RawInspector(path)
            inspector.send([UInt8](repeating: 0x61, count: 8 << 20))
            let answer = String(decoding: try inspector.rest(), as: UTF8.self)
            #expect(answer == "error a request has at most 1024 bytes\n")
        }
    }

    @Test("that sends garbage gets an error for each line", arguments: 1...20 as ClosedRange<UInt64>)
    func garbage(seed: UInt64) async throws {
        try await withSocket { path in
            var dice = Dice(seed: seed)
            let inspector = try RawInspector(path)
            var bytes = (0..<900).map { _ in UInt8(dice.below(256)) }
            bytes.append(0x0a)
            inspector.send(bytes)
            for _ in 0..<bytes.count(where: { $0 == 0x0a }) {
                #expect(try inspector.line()?.hasPrefix("error unknown request") == true)
            }
            inspector.send("hello\n")
            #expect(try inspector.answer().count == 1)
        }
    }

    @Test("that never reads is cut off, and others are answered meanwhile")
    func neverReads() async throws {
        try await withSocket(.canned(tasks: 3_000)) { path in
            let idler = try RawInspector(path)
            // More than fits into a socket's buffers.
            idler.send("tree\n")
            let other = try RawInspector(path)
            for _ in 0..<100 {
                other.send("hello\n")
                #expect(try other.answer().count == 1)
            }
            // What was in the buffers is there, and the end came before the answer's.
            let began = Date()
            while try connections(path) > 1 {
                other.send("hello\n")
                #expect(try other.answer().count == 1)
                try #require(Date().timeIntervalSince(began) < RawInspector.patience)
            }
            #expect(try idler.rest().suffix(4) != Array("end\n".utf8))
        }
    }

    // Whoever is not let to its processor for the patience's time is no fast one.
    @Test("that lets a capture wait does not cost a fast one its answer", .alone)
    func slowCapture() async throws {
        let calls = Condition(0)
        var answers = InspectionAnswers.canned(tasks: 3_000)
        let tree = answers.tree
        let patience = Duration.seconds(1)
        answers.tree = { stacks in
            let call = calls.withLock { calls in
                calls += 1
                return calls
            }
            calls.broadcast()
            // The second one waits until the test says so.
            if call == 2 { _ = calls.wait { $0 == 3 ? true : nil } }
            return tree(stacks)
        }
        try await withSocket(answers, patience: patience) { path in
            let (fast, other) = (try RawInspector(path), try RawInspector(path))
            for inspector in [fast, other] {
                inspector.send("hello\n")
                #expect(try inspector.answer().count == 1)
            }
            // More than fits into a socket's buffers; it takes all that is there.
            fast.send("tree\n")
            #expect(try fast.line()?.hasPrefix("process") == true)
            other.send("tree\n")
            _ = calls.wait { $0 == 2 ? true : nil }
            try fast.takeWhatIsThere()
            let end = Instant.monotonicNow.advanced(by: patience * 2)
            while Instant.monotonicNow < end { sched_yield() }
            calls.withLock { $0 = 3 }
            calls.broadcast()
            #expect(try fast.answer().contains { $0.hasPrefix("note") })
            #expect(try other.answer().contains { $0.hasPrefix("note") })
        }
    }

    @Test("that comes a thousand times finds eight places, and each is free again afterwards")
    func crowd() async throws {
        try await withSocket { path in
            var crowd: [RawInspector] = []
            for _ in 0..<8 {
                let inspector = try RawInspector(path)
                inspector.send("hello\n")
                #expect(try inspector.answer().count == 1)
                crowd.append(inspector)
            }
            for _ in 0..<1_000 {
                let late = try RawInspector(path)
                #expect(try late.line() == "error 8 inspectors are connected already")
                #expect(try late.line() == nil)
            }
            #expect(crowd[3].send("hello\n"))
            #expect(try crowd[3].answer().count == 1)
            crowd = []
            // They go when the thread sees it.
            while true {
                let next = try RawInspector(path)
                next.send("hello\n")
                if try next.line()?.hasPrefix("process") == true { break }
            }
        }
    }

    @Test("that asks without a pause has a quarter of the time at most")
    func captureBudget() {
        var budget = CaptureBudget()
        var now = Instant(nanoseconds: 1_000_000_000_000)
        let began = now
        var spent = Duration.zero
        while began.duration(to: now) < .seconds(60) {
            now = max(now, budget.next(from: now))
            let allows = budget.allows(at: now)
            #expect(allows)
            let time = Duration.milliseconds(300)
            now = now.advanced(by: time)
            budget.spend(time, at: now)
            spent += time
        }
        #expect(spent < .seconds(18))
        #expect(spent > .seconds(12))
        // After a rest there is a second, and no more.
        now = now.advanced(by: .seconds(1_000))
        var count = 0
        while budget.allows(at: now) {
            budget.spend(.milliseconds(300), at: now)
            count += 1
        }
        #expect(count == 4)
    }

    @Test("does not keep a loop from its work", .alone)
    func echoGoesOn() async throws {
        Inspection.start(Inspection.Options(printsTreeAtQuit: false))
        let scratch = try Scratch()
        let socket = InspectionSocket(answers: .ofProcess, folder: scratch.path)
        defer { socket.close() }
        let attack = Attack()
        let attacker = Task.detached { try await Watchdog.onThread { try attack.run(on: open(socket)) } }
        let thread = try LoopThread()
        let slowest = try await thread.loop.submit(name: "echo") {
            let (near, far) = try await UnixStream.pair()
            var slowest = Duration.zero
            var round = 0
            while round < 1_000 || attack.rounds < 50 {
                let began = Instant.monotonicNow
                try await near.write([UInt8(truncatingIfNeeded: round)])
                let bytes = try #require(try await far.read())
                try await far.write(bytes)
                #expect(try await near.read() == bytes)
                slowest = max(slowest, began.duration(to: .monotonicNow))
                try await EventLoop.current?.sleep(for: .microseconds(200))
                round += 1
            }
            return slowest
        }.value
        attack.stop()
        try await attacker.value
        // A loop that waited for one of them would have waited for the two seconds of the socket's patience, or more.
        #expect(slowest < .seconds(2), "an echo took \(slowest)")
        await thread.shutdown()
    }
}

/// What nobody should do to a socket, again and again.
private final class Attack: Sendable {
    private let count = Atomic(0)
    private let isOver = Atomic(false)

    var rounds: Int { count.load(ordering: .relaxed) }

    func stop() { isOver.store(true, ordering: .relaxed) }

    func run(on path: String) throws {
        var dice = Dice(seed: 3)
        while !isOver.load(ordering: .relaxed) {
            let inspector = try RawInspector(path)
            switch dice.below(4) {
            case 0: inspector.send([UInt8](repeating: 0x61, count: 1 << 20))
            case 1: inspector.send("tree\ntree stacks\ntree\n")
            case 2: inspector.send((0..<500).map { _ in UInt8(dice.below(256)) })
            default: inspector.send("trace 10m html\n")
            }
            count.add(1, ordering: .relaxed)
        }
    }
}

/// How many connections a listener's path has: the other ends in /proc/net/unix.
private func connections(_ path: String) throws -> Int {
    let file = try FileHandle(forReadingFrom: URL(filePath: "/proc/net/unix"))
    var bytes: [UInt8] = []
    // The kernel hands it out in pages.
    while let piece = try file.read(upToCount: 65_536), !piece.isEmpty { bytes += piece }
    let table = String(decoding: bytes, as: UTF8.self)
    // It was renamed after it was bound. The listener itself is the one in state 01.
    return table.split(separator: "\n").count { $0.hasSuffix("\(path).new") && !$0.contains(" 01 ") }
}
