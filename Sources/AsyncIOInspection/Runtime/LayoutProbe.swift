import AsyncIOLoop
import CAsyncIO

/// Tries whether tasks are read rightly: parks three of its own, and compares what is read with what is known.
///
/// They run here and now, on the calling thread, whatever executors the process has.
enum LayoutProbe {
    /// What differs, in one sentence; nil if nothing does.
    static func run() -> String? {
        let stage = Stage()
        let root = Task.detached(name: "trial", executorPreference: stage) { await waitForGroup(stage) }
        stage.runJobs()
        let difference = difference(stage, root)
        root.cancel()
        stage.resume()
        stage.runJobs()
        return difference.map { "Swift's runtime lays tasks out in another way than this package knows: \($0)" }
    }

    private static func difference(_ stage: Stage, _ root: Task<Void, Never>) -> String? {
        let actors = stage.actors
        guard actors.count == 3, actors[0].wasRunning == true else { return "whether a task runs" }
        let readings = actors.map { TaskReader.readUnverified($0.task, id: $0.id, frames: 16) }
        guard let first = readings[0], let second = readings[1], let third = readings[2] else { return "ids" }
        guard TaskReader.readUnverified(actors[0].task, id: actors[1].id, frames: 0) == nil else { return "ids" }
        guard first.name == "trial", second.name == nil else { return "names" }
        guard first.parent == nil, second.parent == first.id, third.parent == second.id else { return "parents" }
        guard first.kind == .unstructured, second.kind == .groupChild, third.kind == .asyncLet else { return "kinds" }
        for reading in [first, second, third] {
            guard !reading.isRunning, !reading.isEnqueued, !reading.isComplete else { return "states" }
            guard !reading.isCancelled else { return "cancellation" }
            guard reading.stack.count >= 2 else { return "where a task is suspended" }
        }
        guard first.dependency == .group, second.dependency == .task(third.id), third.dependency == .continuation
        else { return "what a task waits for" }
        root.cancel()
        for actor in actors {
            guard let now = TaskReader.readUnverified(actor.task, id: actor.id, frames: 0), now.isCancelled
            else { return "cancellation" }
        }
        return nil
    }

    @concurrent private static func waitForGroup(_ stage: Stage) async {
        stage.enter()
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await waitForTask(stage) }
            await group.next()
        }
    }

    @concurrent private static func waitForTask(_ stage: Stage) async {
        stage.enter()
        async let child: Void = park(on: stage)
        await child
    }

    @concurrent private static func park(on stage: Stage) async {
        stage.enter()
        unsafe await withUnsafeContinuation { continuation in unsafe stage.keep(continuation) }
    }
}

extension LayoutProbe {
    /// Where the tasks of the trial run.
    final class Stage: TaskExecutor {
        /// A task of the trial.
        struct Actor {
            var task: UInt
            var id: UInt64
            /// What was read while it ran.
            var wasRunning: Bool?
        }

        @safe private struct State: @unchecked Sendable {
            var jobs: [UnownedJob] = []
            var actors: [Actor] = []
            var parked: UnsafeContinuation<Void, Never>?
        }

        private let state = Locked(State())

        var actors: [Actor] { state.withLock { $0.actors } }

        func enqueue(_ job: consuming ExecutorJob) {
            let job = UnownedJob(job)
            state.withLock { $0.jobs.append(job) }
        }

        /// Runs what is queued, until nothing is.
        func runJobs() {
            while let job = state.withLock({ $0.jobs.popLast() }) {
                unsafe job.runSynchronously(on: asUnownedTaskExecutor())
            }
        }

        /// Called by each task first.
        func enter() {
            guard let task = unsafe swift_task_getCurrent() else { return }
            let id = unsafe swift_task_getJobTaskId(task)
            let address = UInt(bitPattern: task)
            let reading = TaskReader.readUnverified(address, id: id, frames: 0)
            let actor = Actor(task: address, id: id, wasRunning: reading?.isRunning)
            state.withLock { $0.actors.append(actor) }
        }

        func keep(_ continuation: UnsafeContinuation<Void, Never>) {
            state.withLock { unsafe $0.parked = continuation }
        }

        func resume() {
            unsafe state.withLock { unsafe $0.parked.take() }?.resume()
        }
    }
}
