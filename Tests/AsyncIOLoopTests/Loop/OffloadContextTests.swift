import AsyncIOKernel
import AsyncIOTestSupport
import Testing

@testable import AsyncIOLoop

private enum Mark {
    @TaskLocal static var value = 0
}

@Suite("What offloaded work knows of its task")
struct OffloadContextTests {
    @Test("work sees the task locals and the priority of its caller", arguments: Drivers.available)
    func context(driver: DriverChoice) async throws {
        try await Guest.run(.guest(driver)) { loop in
            let mark = try await Mark.$value.withValue(4) { try await loop.offload { Mark.value } }
            #expect(mark == 4)
            let priority = try await Task(executorPreference: loop, priority: .background) {
                (Task.currentPriority, try await loop.offload { Task.currentPriority })
            }.result.get()
            #expect(priority.0 == priority.1)
        }
    }

    @Test("work that asks sees the cancellation of its task, and may give up", arguments: Drivers.available)
    func cancelled(driver: DriverChoice) async throws {
        try await Guest.run(.guest(driver)) { loop in
            let begun = Gate()
            let task = loop.submit {
                try await loop.offload {
                    #expect(!Task.isCancelled)
                    begun.open()
                    while !Task.isCancelled {}
                    try Task.checkCancellation()
                }
            }
            await begun.pass()
            task.cancel()
            await #expect(throws: CancellationError.self) { try await task.value }
        }
    }

    @Test("higher priorities begin first, equal ones in order", arguments: Drivers.available)
    func order(driver: DriverChoice) async throws {
        let log = Log<Int>()
        try await Guest.run(.guest(driver, threads: 1)) { loop in
            let (begun, mayEnd) = (Gate(), Gate())
            let first = loop.submit {
                try await loop.offload {
                    begun.open()
                    mayEnd.block()
                }
            }
            await begun.pass()
            var tasks: [Task<Void, any Error>] = []
            let plan: [(Int, TaskPriority)] = [(5, .background), (1, .high), (3, .medium), (4, .low), (2, .high)]
            for (number, priority) in plan {
                tasks.append(
                    Task.detached(executorPreference: loop, priority: priority) {
                        try await loop.offload { log.add(number) }
                    })
                await until { await loop.statistics.blocking.queued == tasks.count }
            }
            mayEnd.open()
            try await first.value
            // Not awaited: that would lend them this task's priority.
            await until { log.count == 5 }
            for task in tasks { try await task.value }
        }
        #expect(log.all == [1, 2, 3, 4, 5])
    }

    @Test("work of an actor on the loop leaves the loop and comes back", arguments: Drivers.available)
    func actors(driver: DriverChoice) async throws {
        actor Home: LoopActor {
            nonisolated let loop: EventLoop
            init(_ loop: EventLoop) { self.loop = loop }
            func visit() async throws -> [Bool] {
                let before = loop.isCurrent
                let elsewhere = try await loop.offload { EventLoop.current == nil }
                return [before, elsewhere, loop.isCurrent]
            }
        }
        let places = try await Guest.run(.guest(driver)) { loop in try await Home(loop).visit() }
        #expect(places == [true, true, true])
    }

    @Test("whoever waits for a thread comes to be served, however many with a higher priority come")
    func noStarvation() throws {
        let loop = try EventLoop(options: .guest())
        defer { loop.discard() }
        var lanes = JobLanes<BlockingJob>()
        func urgent() -> BlockingJob { BlockingJob(name: "urgent", priority: .high, loop: loop) }
        lanes.append(BlockingJob(name: "patient", priority: .background, loop: loop))
        for _ in 0..<20 { lanes.append(urgent()) }
        var turns = 0
        while let job = lanes.takeNext() {
            if job.name == "patient" { break }
            lanes.append(urgent())
            turns += 1
        }
        #expect(turns == 7)
        #expect(lanes.count == 20)
    }
}
