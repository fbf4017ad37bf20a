import AsyncIOKernel
import AsyncIOTestSupport
import Synchronization
import Testing

@testable import AsyncIOLoop

@Suite("One tick")
struct OneTickTests {
    /// Everything that can make an entry ready happens while one callback runs.
    private func order(_ options: EventLoop.Options) async throws -> [String] {
        let log = Log<String>()
        let flag = try Flag()
        let number = flag.number
        return try await Guest.run(options) { loop in
            let all = Gate()
            let add: @Sendable (String) -> Void = { entry in
                log.add(entry)
                if log.count == 4 { all.open() }
            }
            let reader = loop.spawn {
                try await loop.waitReadable(number)
                add("input")
            }
            // The reader waits before the callback runs.
            await Task.yield()
            await Task.yield()
            loop.callSoon {
                loop.callAt(loop.now) { add("timer") }
                loop.callSoon { add("callback") }
                Flag.raise(number)
                let isPosted = Gate()
                let starter = try? SystemThread.start(name: "poster") {
                    loop.callSoon { add("inbox") }
                    isPosted.open()
                }
                isPosted.block()
                starter?.join()
            }
            await all.pass()
            try await reader.value
            return log.all
        }
    }

    @Test("after each job the driver: callback, input, inbox, timer", arguments: Drivers.available)
    func pollsOften(driver: DriverChoice) async throws {
        let order = try await order(.guest(driver, fairness: Fairness(jobsPerPoll: 1)))
        #expect(order == ["callback", "input", "inbox", "timer"])
    }

    @Test("with jobs ready the driver waits: callback and inbox, then input and timer", arguments: Drivers.available)
    func pollsSeldom(driver: DriverChoice) async throws {
        let order = try await order(.guest(driver))
        #expect(order == ["callback", "inbox", "input", "timer"])
    }

    @Test("jobs queued while a batch runs wait for the next tick", arguments: Drivers.available)
    func nextTick(driver: DriverChoice) async throws {
        let ticks = try await Guest.run(.guest(driver)) { loop in
            let log = Log<UInt64>()
            let done = Gate()
            @Sendable func again(_ left: Int) {
                log.add(loop.core.counters.ticks)
                if left == 0 { done.open() } else { loop.callSoon { again(left - 1) } }
            }
            loop.callSoon { again(10) }
            await done.pass()
            return log.all
        }
        #expect(ticks.count == 11)
        for (tick, next) in zip(ticks, ticks.dropFirst()) { #expect(next == tick + 1) }
    }

    @Test("what is queued together runs in one tick, in order", arguments: Drivers.available)
    func batch(driver: DriverChoice) async throws {
        let (log, ticks) = try await Guest.run(.guest(driver)) { loop in
            let log = Log<Int>()
            let ticks = Log<UInt64>()
            let done = Gate()
            loop.callSoon {
                for number in 0..<50 {
                    loop.callSoon {
                        log.add(number)
                        ticks.add(loop.core.counters.ticks)
                    }
                }
                loop.callSoon { done.open() }
            }
            await done.pass()
            return (log.all, ticks.all)
        }
        #expect(log == Array(0..<50))
        #expect(Set(ticks).count == 1)
    }

    @Test("an instrument sees whole steps, in the tick's order", arguments: Drivers.available)
    func events(driver: DriverChoice) async throws {
        let recorder = Recorder()
        let flag = try Flag()
        let number = flag.number
        try await Guest.run(.guest(driver, instrument: recorder)) { loop in
            loop.callLater(.milliseconds(1)) { Flag.raise(number) }
            try await loop.waitReadable(number)
            for _ in 0..<5 { await Task.yield() }
            try await loop.sleep(for: .milliseconds(1))
        }
        let events = recorder.events
        var (running, waiting): (TaskID?, Bool) = (nil, false)
        var queued: [TaskID: Int] = [:]
        for event in events {
            switch event {
            case .queued(let task): queued[task, default: 0] += 1
            case .jobWillRun(let task):
                #expect(running == nil && !waiting)
                #expect(queued[task, default: 0] > 0, "\(task) runs without having been queued")
                queued[task, default: 0] -= 1
                running = task
            case .jobDidRun(let task):
                #expect(running == task)
                running = nil
            case .tickBegan: #expect(running == nil && !waiting)
            case .waitBegan:
                #expect(running == nil && !waiting)
                waiting = true
            case .waitEnded:
                #expect(waiting)
                waiting = false
            case .operation, .resumed: break
            case .inboxTaken, .timerFired: #expect(running == nil && !waiting)
            }
        }
        #expect(queued.values.allSatisfy { $0 == 0 })
        // The wait for the flag is there, and so is its end, with the same name.
        let asked = events.compactMap { event -> OperationID? in
            guard case .operation("wait readable", number, .waits(let name)) = event else { return nil }
            return name
        }
        #expect(asked.count == 1)
        #expect(asked.first.map { events.contains(.resumed($0, 0)) } == true)
        // A sleep of the loop has an end; a poll while jobs are ready has none to wait for.
        #expect(events.contains { if case .waitBegan(let until?) = $0 { until != .distantPast } else { false } })
    }

    @Test("who begins to watch inside a job is not told that the next one began before that one ended")
    func laterInstrument() async throws {
        let instants = Log<Instant>()
        final class Listener: Instrument, Sendable {
            let instants: Log<Instant>
            init(_ instants: Log<Instant>) { self.instants = instants }
            func record(_ event: LoopEvent, at instant: Instant) {
                if case .jobWillRun = event { instants.add(instant) }
            }
        }
        let ended = try await Guest.run(.guest()) { loop in
            // One that has gone before the other one comes has seen the time.
            loop.instrument = Listener(Log())
            await EventLoop.yield()
            loop.instrument = nil
            await EventLoop.yield()
            // Two of one batch: nobody watches the first one from its beginning.
            let first = loop.spawn {
                loop.instrument = Listener(instants)
                let begun = loop.now
                while loop.now.duration(to: begun) > .milliseconds(-1) {}
                return loop.now
            }
            let next = loop.spawn {}
            try await next.value
            return try await first.value
        }
        let first = try #require(instants.all.first)
        #expect(first >= ended)
    }
}
