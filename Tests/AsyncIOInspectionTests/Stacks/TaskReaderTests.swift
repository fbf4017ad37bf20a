import AsyncIOLoop
import CAsyncIO
import Testing

@testable import AsyncIOInspection

/// Tasks that are suspended, on a stage of their own: nothing runs them meanwhile.
@Suite("Reading a task")
struct TaskReaderTests {
    @Test("the layout is the one that is known, and the trial of it can be repeated")
    func layout() {
        #expect(TaskReader.refusal == nil)
        #expect(LayoutProbe.run() == nil)
    }

    @Test("tells its name, what it waits for, and where")
    func reading() async throws {
        let stage = LayoutProbe.Stage()
        let task = Task.detached(name: "reader", executorPreference: stage) { await outer(stage) }
        stage.runJobs()
        let actor = stage.actors[0]
        let reading = try #require(TaskReader.read(actor.task, id: actor.id, frames: 20))
        #expect(reading.id == actor.id)
        #expect(reading.name == "reader")
        #expect(reading.dependency == .continuation)
        #expect(reading.parent == nil)
        let functions = Symbols.frames(of: reading.stack).map { $0.function ?? "?" }
        let own = functions.filter { $0.contains("AsyncIOInspectionTests") }
        #expect(own.count == 3)
        #expect(own.first?.contains("inner") == true)
        #expect(own.dropFirst().first?.contains("outer") == true)
        #expect(own.last?.contains("closure #1") == true)
        let places = Symbols.frames(of: reading.stack).filter { $0.file?.hasSuffix("TaskReaderTests.swift") == true }
        #expect(places.count == 3)
        #expect(places.allSatisfy { $0.line.map { $0 > 10 } == true })
        stage.resume()
        stage.runJobs()
        await task.value
    }

    @Test("from memory that many share says the same as one by one, also across the borders of what is copied")
    func shared() async throws {
        let stages = (0..<400).map { _ in LayoutProbe.Stage() }
        let tasks = stages.enumerated().map { number, stage in
            Task.detached(name: "reader \(number)", executorPreference: stage) { await outer(stage) }
        }
        for stage in stages { stage.runJobs() }
        let pages = CopiedPages()
        for (number, stage) in stages.enumerated() {
            let actor = try #require(stage.actors.first)
            let alone = try #require(TaskReader.read(actor.task, id: actor.id, frames: 20))
            let reading = TaskReader.read(actor.task, id: actor.id, frames: 20, from: pages)
            let together = try #require(reading)
            #expect(together.name == "reader \(number)" && together.name == alone.name)
            #expect(together.stack == alone.stack && together.stack.count > 2)
            #expect(together.dependency == alone.dependency)
        }
        let nothing = TaskReader.read(8, id: 1, frames: 8, from: pages)
        #expect(nothing == nil, "memory that is not there")
        for stage in stages {
            stage.resume()
            stage.runJobs()
        }
        for task in tasks { await task.value }
    }

    @Test("tells where a task will begin that has never run", arguments: [false, true])
    func beginning(isThunk: Bool) async throws {
        let queue = Queue()
        let value: Task<Int, Never>
        if isThunk {
            value = begin({ await one() }, on: queue)
        } else {
            value = Task.detached(executorPreference: queue) { await one() }
        }
        let job = try #require(queue.job)
        let task = unsafe unsafeBitCast(job, to: UInt.self)
        let id = unsafe swift_task_getJobTaskId(UnsafeMutableRawPointer(bitPattern: task))
        let reading = try #require(TaskReader.read(task, id: id, frames: 20))
        #expect(reading.isEnqueued)
        let origin = Symbols.origin(of: reading.stack)?.function
        #expect(
            origin?.contains("AsyncIOInspectionTests.TaskReaderTests.beginning(isThunk:)") == true, "\(origin ?? "?")")
        unsafe job.runSynchronously(on: queue.asUnownedTaskExecutor())
        #expect(await value.value == 1)
    }

    @Test("takes as many frames as were asked for")
    func bounds() async throws {
        let stage = LayoutProbe.Stage()
        let task = Task.detached(executorPreference: stage) { await outer(stage) }
        stage.runJobs()
        let actor = stage.actors[0]
        #expect(TaskReader.read(actor.task, id: actor.id, frames: 0)?.stack.isEmpty == true)
        #expect(TaskReader.read(actor.task, id: actor.id, frames: 2)?.stack.count == 2)
        stage.resume()
        stage.runJobs()
        await task.value
    }

    @Test("a pointer that leads nowhere, or elsewhere, is no task")
    func nowhere() {
        var words = [UInt](repeating: 0x4141_4141, count: 64)
        for address: UInt in [0, 1, 8, 0xdead_0000, 0x7fff_ffff_f000, .max, .max - 7, 1 << 63] {
            #expect(TaskReader.read(address, id: 1, frames: 8) == nil)
        }
        let address = unsafe words.withUnsafeMutableBufferPointer { UInt(bitPattern: $0.baseAddress) }
        #expect(TaskReader.read(address, id: 0x4141_4141, frames: 8) == nil)
    }
}

/// Where a task waits to run.
private final class Queue: TaskExecutor {
    private let held = Locked<UnownedJob?>(nil)
    var job: UnownedJob? { held.withLock { $0 } }

    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        held.withLock { $0 = job }
    }
}

private func begin<Value: Sendable>(_ body: @escaping @Sendable () async -> Value, on queue: Queue) -> Task<
    Value, Never
> {
    Task.detached(executorPreference: queue, operation: body)
}

private func one() async -> Int { 1 }

@concurrent private func outer(_ stage: LayoutProbe.Stage) async {
    await inner(stage)
    stage.enter()
}

@concurrent private func inner(_ stage: LayoutProbe.Stage) async {
    stage.enter()
    unsafe await withUnsafeContinuation { unsafe stage.keep($0) }
}
