import AsyncIOKernel
import AsyncIOTestSupport
import Glibc
import Testing

@testable import AsyncIOLoop

@Suite("The inbox")
struct InboxTests {
    private func entry(_ number: Int) -> InboxEntry { .ready(ReadyWord(bits: UInt(number) << 4)) }

    private func numbers(_ entries: [InboxEntry]) -> [Int] {
        entries.compactMap { entry in
            guard case .ready(let word) = entry else { return nil }
            return Int(word.bits >> 4)
        }
    }

    @Test("entries come out once, in order")
    func order() {
        let inbox = Inbox()
        for number in 0..<100 { #expect(inbox.push(entry(number)) {}) }
        var taken: [InboxEntry] = []
        inbox.take(into: &taken)
        #expect(numbers(taken) == Array(0..<100))
        var rest: [InboxEntry] = []
        inbox.take(into: &rest)
        #expect(rest.isEmpty)
    }

    @Test("only the first entry after falling asleep wakes the loop")
    func wakes() {
        let inbox = Inbox()
        var wakeUps = 0
        _ = inbox.push(entry(0)) { wakeUps += 1 }
        #expect(wakeUps == 0)
        #expect(!inbox.fallAsleep(), "an entry is waiting: no sleep")
        var taken: [InboxEntry] = []
        inbox.take(into: &taken)
        #expect(inbox.fallAsleep())
        for number in 0..<10 { _ = inbox.push(entry(number)) { wakeUps += 1 } }
        #expect(wakeUps == 1)
        inbox.wakeUp()
        _ = inbox.push(entry(0)) { wakeUps += 1 }
        #expect(wakeUps == 1)
        #expect(inbox.wakeUps == 1)
    }

    @Test("a loop that woke by itself is not woken again")
    func wokeByItself() {
        let inbox = Inbox()
        var wakeUps = 0
        #expect(inbox.fallAsleep())
        inbox.wakeUp()
        _ = inbox.push(entry(0)) { wakeUps += 1 }
        #expect(wakeUps == 0)
    }

    @Test("a closed inbox hands out what it has and refuses the rest, waking nobody")
    func closed() {
        let inbox = Inbox()
        _ = inbox.push(entry(1)) {}
        #expect(numbers(inbox.close()) == [1])
        #expect(inbox.isClosed)
        var wakeUps = 0
        #expect(!inbox.push(entry(2)) { wakeUps += 1 })
        #expect(wakeUps == 0)
        #expect(inbox.close().isEmpty)
    }

    @Test("a loop that sleeps whenever it may misses nothing")
    func sleeper() async throws {
        let (threads, each) = (3, 20_000)
        let inbox = Inbox()
        let bell = Condition(0)
        let taken = try await Watchdog.onThread {
            for _ in 0..<threads {
                try SystemThread.start(name: "pusher") {
                    for number in 0..<each {
                        _ = inbox.push(entry(number)) {
                            bell.withLock { $0 += 1 }
                            bell.broadcast()
                        }
                        if number % 64 == 0 { sched_yield() }
                    }
                }.detach()
            }
            var count = 0
            var entries: [InboxEntry] = []
            while count < threads * each {
                inbox.take(into: &entries)
                count += entries.count
                entries.removeAll()
                guard count < threads * each, inbox.fallAsleep() else { continue }
                _ = bell.wait { rings in
                    guard rings > 0 else { return nil as Bool? }
                    rings = 0
                    return true
                }
                inbox.wakeUp()
            }
            return count
        }
        #expect(taken == threads * each)
        #expect(inbox.wakeUps > 0)
    }

    @Test("entries of several threads all arrive, each thread's in order")
    func threads() async throws {
        let (threads, each) = (4, 20_000)
        let inbox = Inbox()
        let seen = try await Watchdog.onThread {
            for thread in 0..<threads {
                try SystemThread.start(name: "pusher") {
                    for number in 0..<each { _ = inbox.push(entry(thread * each + number)) {} }
                }.detach()
            }
            var seen: [Int] = []
            var taken: [InboxEntry] = []
            while seen.count < threads * each {
                inbox.take(into: &taken)
                seen += numbers(taken)
                taken.removeAll()
            }
            return seen
        }
        for thread in 0..<threads {
            let mine = seen.filter { $0 / each == thread }
            #expect(mine == Array(thread * each..<(thread + 1) * each))
        }
    }
}
