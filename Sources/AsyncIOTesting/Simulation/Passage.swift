import AsyncIO
import AsyncIOKernel
import AsyncIOLoop

/// The way of a task into a simulation, and home again: the executor that it prefers on its way.
///
/// A test framework knows whose a failed expectation is by the task in which it fails, and by its children. So the task
/// itself goes to a loop of the simulation. It waits here until the simulation, on its own thread, has that loop; and
/// once more, with what its body came to, until the simulation is over.
final class Passage: TaskExecutor {
    fileprivate enum Stage {
        case before
        case inside(World, EventLoop)
        case left
        case over
    }

    fileprivate struct State {
        var stage = Stage.before
        /// The task's jobs, as long as it has to wait.
        var jobs: [UnownedJob] = []
        var traveller: Traveller?
        /// Who waits for the body's end, in the simulation.
        var guide: Waiter?
        var error: (any Error)?
    }

    private let state = Condition(State())

    // MARK: The task's side

    /// Runs a body in the simulation. Returns when that is over; at once if it never begins.
    func perform<Success: Sendable>(
        _ body: @concurrent @Sendable (World) async throws -> Success
    ) async -> Result<Success, any Error> {
        state.withLock { $0.traveller = Traveller() }
        // A child task lies in its parent's memory: nobody may let go of it when it is gone.
        defer { state.withLock { $0.traveller = nil } }
        return await withTaskExecutorPreference(self) {
            guard case .inside(let world, let loop) = state.withLock({ $0.stage }) else {
                return .failure(EventLoopError.noLoop)
            }
            return await withTaskExecutorPreference(loop) {
                let result: Result<Success, any Error>
                do { result = .success(try await body(world)) } catch { result = .failure(error) }
                leave(result.error)
                return result
            }
        }
    }

    private func leave(_ error: (any Error)?) {
        let guide = state.withLock { state in
            state.stage = .left
            state.error = error
            return state.guide.take()
        }
        // It goes on later, on the loop that this task leaves just now.
        guide?.wake()
    }

    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        let stage = state.withLock { state in
            switch state.stage {
            case .before, .left: state.jobs.append(job)
            case .inside, .over: break
            }
            return state.stage
        }
        switch stage {
        case .before, .left: state.broadcast()
        case .inside(_, let loop): loop.enqueue(job)
        case .over: globalConcurrentExecutor.enqueue(ExecutorJob(job))
        }
    }

    // MARK: The simulation's side

    /// Blocks the simulation's thread until the task has come: the world begins with it.
    func waitForTask() { _ = state.wait { $0.jobs.isEmpty ? nil : () } }

    /// Lets the task in, and suspends until its body has ended. Throws the body's error. Whoever is cancelled cancels
    /// the body.
    func lead(into loop: EventLoop, of world: World) async throws {
        let jobs = state.withLock { state in
            state.stage = .inside(world, loop)
            return state.takeJobs()
        }
        for job in jobs { loop.enqueue(job) }
        await withTaskCancellationHandler {
            await Waiter.suspend(for: Errand("passage")) { waiter in
                state.withLock { state in
                    guard case .inside = state.stage else { return false }
                    state.guide = waiter
                    return true
                }
            }
        } onCancel: {
            state.withLock { $0.traveller }?.cancel()
        }
        if let error = state.withLock({ $0.error }) { throw error }
    }

    /// The simulation is over: the task goes home. False if its body has not ended, and never will.
    func close() -> Bool {
        let (jobs, hasLeft) = state.withLock { state in
            if case .inside = state.stage { return ([UnownedJob](), false) }
            state.stage = .over
            return (state.takeJobs(), true)
        }
        for job in jobs { globalConcurrentExecutor.enqueue(ExecutorJob(job)) }
        return hasLeft
    }
}

/// The task that a passage leads, to be cancelled while its body has not ended: so the task is alive then.
@safe
private struct Traveller: @unchecked Sendable {
    private let task: UnsafeCurrentTask?

    /// The current task.
    init() { unsafe task = withUnsafeCurrentTask { task in unsafe task } }

    func cancel() { unsafe task?.cancel() }
}

extension Passage.State {
    fileprivate mutating func takeJobs() -> [UnownedJob] {
        defer { jobs = [] }
        return jobs
    }
}
