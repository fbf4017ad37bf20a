import AsyncIOKernel
public import AsyncIOLoop

/// A handle of a task that can be waited for without touching it: `Task`, and the loop's `BackgroundTask`.
public protocol TaskHandle<Success>: Sendable {
    /// What the task returns.
    associatedtype Success: Sendable

    /// Calls back once, when the task has ended, with its value or its error; on whatever thread, and without delay if
    /// the task has ended before.
    func whenEnded(_ body: @escaping @Sendable (Result<Success, any Error>) -> Void) -> TaskObservation
}

/// A call-back that waits for a task's end. Letting go of it does not cancel it.
public final class TaskObservation: Sendable {
    private let stop: @Sendable () -> Void

    /// Creates one from what ends it.
    public init(_ stop: @escaping @Sendable () -> Void) { self.stop = stop }

    /// Forgets the call-back, if it has not been made. The task goes on.
    public func cancel() { stop() }
}

extension BackgroundTask: TaskHandle {
    /// Calls back once, when the task has ended. Whoever is called has the error: it is not reported elsewhere.
    public func whenEnded(_ body: @escaping @Sendable (Result<Success, any Error>) -> Void) -> TaskObservation {
        let number = observe(.awaits, body)
        return TaskObservation { number.map(self.stopObserving) }
    }
}

/// A handle whose task's error is reported if nobody takes it: whoever was told of its end says what became of it.
protocol ReportingHandle: Sendable {
    func wasReceived(_ reception: EndReception)
}

extension BackgroundTask: ReportingHandle {}

extension Task: TaskHandle {
    /// Calls back once, when the task has ended.
    ///
    /// Swift's tasks can only be awaited by tasks: the first observer of one starts another that awaits it, for all of
    /// its observers, until it ends.
    public func whenEnded(_ body: @escaping @Sendable (Result<Success, any Error>) -> Void) -> TaskObservation {
        let watch = TaskWatch.of(self)
        let number = watch.observe(body)
        return TaskObservation { watch.stopObserving(number) }
    }
}

/// Awaits a task on behalf of all who observe it: waiting again and again for a task that does not end costs one watch.
private final class TaskWatch<Success: Sendable>: Sendable {
    private struct State {
        var result: Result<Success, any Error>?
        var observers: [UInt64: @Sendable (Result<Success, any Error>) -> Void] = [:]
        var next: UInt64 = 0
    }

    private let state = Condition(State())

    static func of<Failure>(_ task: Task<Success, Failure>) -> TaskWatch {
        let key = AnyHashable(task)
        let (watch, isNew): (TaskWatch, Bool) = taskWatches.withLock { watches in
            if let known = watches[key] as? TaskWatch { return (known, false) }
            let watch = TaskWatch()
            watches[key] = watch
            return (watch, true)
        }
        if isNew { watch.follow(task) }
        return watch
    }

    /// By preference on the loop, as it is no plain task then: the loop's end has nothing to cancel here.
    private func follow<Failure>(_ task: Task<Success, Failure>) {
        Task<Void, Never>.detached(executorPreference: EventLoop.current) {
            let result = await task.result
            _ = taskWatches.withLock { $0.removeValue(forKey: AnyHashable(task)) }
            self.finish(result.mapError { $0 })
        }
    }

    func observe(_ body: @escaping @Sendable (Result<Success, any Error>) -> Void) -> UInt64 {
        let (number, result): (UInt64, Result<Success, any Error>?) = state.withLock { state in
            state.next += 1
            if state.result == nil { state.observers[state.next] = body }
            return (state.next, state.result)
        }
        if let result { body(result) }
        return number
    }

    func stopObserving(_ number: UInt64) {
        let observer = state.withLock { $0.observers.removeValue(forKey: number) }
        withExtendedLifetime(observer) {}
    }

    private func finish(_ result: Result<Success, any Error>) {
        let observers = state.withLock { state in
            state.result = result
            defer { state.observers = [:] }
            return state.observers.sorted { $0.key < $1.key }.map(\.value)
        }
        for observer in observers { observer(result) }
    }
}

/// The watches of tasks that have not ended, for the whole process: a task may be observed from several loops.
private let taskWatches = Condition<[AnyHashable: AnyObject]>([:])

/// How many tasks are being watched.
var watchedTaskCount: Int { taskWatches.withLock { $0.count } }
