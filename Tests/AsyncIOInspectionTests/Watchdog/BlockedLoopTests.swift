import AsyncIO
import AsyncIOKernel
import AsyncIOLoop
import AsyncIOTestSupport
import Glibc
import Synchronization
import Testing

@testable import AsyncIOInspection

// What the planted functions return keeps the compiler from leaving them out, or their callers' frames.

/// Sleeps in the kernel until the report has come. The result of usleep(3): -1 if a signal has cut it short.
@inline(never)
private func plantedSleep(_ watchdog: TestWatchdog, _ name: String) -> Int32 {
    var result: Int32 = 0
    while !watchdog.has({ $0.taskName == name }) {
        result = min(result, usleep(300_000))  // sleeps: this is what the watchdog is to find
    }
    return result
}

@inline(never)
private func plantedComputation(_ watchdog: TestWatchdog, _ name: String) -> UInt64 {
    var number: UInt64 = 1
    while !watchdog.has({ $0.taskName == name }) {
        for _ in 0..<100_000 { number = number &* 6_364_136_223_846_793_005 &+ 1 }
    }
    return number
}

@inline(never)
private func plantedCallback(_ watchdog: TestWatchdog) -> Bool {
    watchdog.block { $0.culprit == .callback }
    return true
}

@inline(never)
private func asynchronousCaller(_ watchdog: TestWatchdog) async -> Int32 {
    await Task.yield()
    let result = await asynchronousCallee(watchdog)
    await Task.yield()
    return result
}

@inline(never)
private func asynchronousCallee(_ watchdog: TestWatchdog) async -> Int32 {
    await Task.yield()
    let result = plantedSleep(watchdog, "outer")
    await Task.yield()
    return result
}

@Suite("A blocked loop", .serialized)
struct BlockedLoopTests {
    @Test("a task that sleeps in the kernel is reported while it does, and sleeps on", arguments: Drivers.available)
    func systemCall(driver: DriverChoice) async throws {
        let watchdog = TestWatchdog()
        try await watchdog.run(driver, name: "sleepy") { loop in
            let task = loop.spawn(name: "importer") { plantedSleep(watchdog, "importer") }
            let result = try await task.value
            #expect(result == 0)
        }
        let report = try #require(watchdog.reports.first { $0.taskName == "importer" })
        #expect(report.loop == "sleepy")
        #expect(report.duration >= .milliseconds(2))
        #expect(report.activity == .waits(call: "clock_nanosleep"), "\(report)")
        #expect(report.shows("plantedSleep"), "\(report)")
        #expect(report.description.contains("task \"importer\""))
        #expect(report.description.contains("EventLoop.offload"))
    }

    @Test("a task that computes is reported while it does", arguments: Drivers.available)
    func computation(driver: DriverChoice) async throws {
        let watchdog = TestWatchdog()
        try await watchdog.run(driver) { loop in
            let task = loop.spawn(name: "hot") { plantedComputation(watchdog, "hot") }
            let result = try await task.value
            #expect(result != 1)
        }
        let report = try #require(watchdog.reports.first { $0.taskName == "hot" })
        // On a busy machine it may have no processor to compute with.
        #expect(report.activity == .computes || report.activity == .lacksProcessor)
        #expect(report.shows("plantedComputation"), "\(report)")
    }

    @Test("a callback that blocks is reported", arguments: Drivers.available)
    func callback(driver: DriverChoice) async throws {
        let watchdog = TestWatchdog()
        try await watchdog.run(driver) { loop in
            let gate = Gate()
            loop.callSoon { if plantedCallback(watchdog) { gate.open() } }
            await gate.pass()
        }
        let report = try #require(watchdog.reports.first { $0.culprit == .callback })
        #expect(report.shows("plantedCallback"), "\(report)")
        #expect(report.activity == .waits(call: "futex"))
    }

    @Test("the asynchronous functions that await the blocked one stand behind it", arguments: Drivers.available)
    func asynchronousCallers(driver: DriverChoice) async throws {
        let watchdog = TestWatchdog()
        try await watchdog.run(driver) { loop in
            let task = loop.spawn(name: "outer") { await asynchronousCaller(watchdog) }
            let result = try await task.value
            #expect(result == 0)
        }
        let report = try #require(watchdog.reports.first { $0.taskName == "outer" })
        let names = ["plantedSleep", "asynchronousCallee", "asynchronousCaller"]
        let places = names.map { name in report.stack.firstIndex { $0.function?.contains(name) == true } }
        let found = places.compactMap { $0 }
        #expect(found.count == 3 && found == found.sorted(), "\(report)")
    }

    @Test("every loop of many that is blocked is reported", arguments: Drivers.available)
    func manyThreads(driver: DriverChoice) async throws {
        let watchdog = TestWatchdog()
        defer { watchdog.watchdog.stop() }
        let names = (1...6).map { "loop \($0)" }
        try await withThrowingTaskGroup(of: Void.self) { group in
            for (index, name) in names.enumerated() {
                group.addTask {
                    try await Guest.run(.guest(driver, name: name)) { loop in
                        let inspector = watchdog.inspect(loop)
                        let task = loop.spawn(name: name) {
                            index.isMultiple(of: 2)
                                ? plantedSleep(watchdog, name) == 0 : plantedComputation(watchdog, name) != 1
                        }
                        let isDone = try await task.value
                        #expect(isDone)
                        inspector.end()
                    }
                }
            }
            try await group.waitForAll()
        }
        for (index, name) in names.enumerated() {
            let report = try #require(watchdog.reports.first { $0.taskName == name })
            #expect(report.loop == name)
            #expect(report.shows(index.isMultiple(of: 2) ? "plantedSleep" : "plantedComputation"))
        }
    }

    @Test("the same task's next long run says that it is not the first", arguments: Drivers.available)
    func earlierRuns(driver: DriverChoice) async throws {
        let watchdog = TestWatchdog()
        try await watchdog.run(driver) { loop in
            try await loop.spawn(name: "again") {
                for run in 0..<3 {
                    watchdog.block { $0.taskName == "again" && $0.earlierRuns == run }
                    await EventLoop.yield()
                }
            }.value
        }
        #expect(Set(watchdog.reports.filter { $0.taskName == "again" }.map(\.earlierRuns)) == [0, 1, 2])
    }

    @Test("the next report after a pause says how many there were meanwhile", arguments: Drivers.available)
    func untold(driver: DriverChoice) async throws {
        let watchdog = TestWatchdog(leastInterval: .milliseconds(300))
        try await watchdog.run(driver) { loop in
            try await loop.spawn(name: "again") {
                watchdog.block { $0.taskName == "again" }
                var runs = 0
                while !watchdog.has({ $0.untold > 0 }) {
                    await EventLoop.yield()
                    runs += 1
                    // Long enough for a report each, if there were no pause.
                    let end = Instant.monotonicNow.advanced(by: .milliseconds(10))
                    while Instant.monotonicNow < end {}
                }
                #expect(watchdog.reports.count < runs)
            }.value
        }
        let report = try #require(watchdog.reports.first { $0.untold > 0 })
        #expect(report.description.contains("; \(report.untold) other runs since the last report were not told of"))
    }

    @Test("a loop that rests lets the watchdog sleep", arguments: Drivers.available)
    func rest(driver: DriverChoice) async throws {
        let watchdog = TestWatchdog()
        try await watchdog.run(driver) { loop in
            let before = watchdog.watchdog.looks.load(ordering: .relaxed)
            // Time for six hundred looks.
            try await Task.sleep(for: .milliseconds(300))  // sleeps: that nothing happens meanwhile is what it is about
            let after = watchdog.watchdog.looks.load(ordering: .relaxed)
            #expect(after - before < 300)
        }
    }
}
