import AsyncIOKernel
import SystemPackage

extension EventLoop {
    /// Starts a background task that the loop owns: nobody has to keep the handle.
    ///
    /// The task runs on the loop, whatever thread the caller is on. An error that it throws while nobody awaits its
    /// value goes to the loop's error handler at that moment, with the name and the place. When the loop ends, the task
    /// is cancelled, awaited for the grace period, and named if it would not stop.
    ///
    /// Does not suspend. On a closed loop the task never starts, and its value throws ``EventLoopError/closed(_:)``.
    @discardableResult
    public func spawn<Success: Sendable>(
        name: String? = nil, file: StaticString = #fileID, line: UInt = #line,
        _ body: sending @escaping () async throws -> Success
    ) -> BackgroundTask<Success> {
        start(name: name, place: "\(file):\(line)", reports: true, body)
    }

    /// Runs a body on the loop for a thread that is not the loop's, which may block for the result:
    /// `try loop.submit { … }.wait()`.
    ///
    /// As ``spawn(name:file:line:_:)``, but an error is for whoever asks the handle: it is not reported elsewhere.
    public func submit<Success: Sendable>(
        name: String? = nil, file: StaticString = #fileID, line: UInt = #line,
        _ body: sending @escaping () async throws -> Success
    ) -> BackgroundTask<Success> {
        start(name: name, place: "\(file):\(line)", reports: false, body)
    }

    private func start<Success: Sendable>(
        name: String?, place: String, reports: Bool, _ body: sending @escaping () async throws -> Success
    ) -> BackgroundTask<Success> {
        let handle = BackgroundTask<Success>(loop: self, name: name ?? "task at \(place)")
        guard let entry = background.add(handle.name, cancel: { handle.cancel() }) else {
            handle.finish(.failure(EventLoopError.closed(self.name)))
            return handle
        }
        let work = Work(body)
        let task = makeTask(name: handle.name) { @Sendable [self] in
            let result: Result<Success, any Error>
            do { result = .success(try await work.run()) } catch { result = .failure(error) }
            let isAwaited = handle.finish(result)
            background.remove(entry)
            guard reports, !isAwaited, case .failure(let error) = result, !(error is CancellationError) else { return }
            report(error, context: handle.name, place: place)
        }
        handle.started(task)
        return handle
    }
}

/// A task that a loop owns: what ``EventLoop/spawn(name:file:line:_:)`` and ``EventLoop/submit(name:file:line:_:)``
/// return.
public final class BackgroundTask<Success: Sendable>: Sendable {
    private struct State {
        var result: Result<Success, any Error>?
        var task: Task<Void, Never>?
        var isCancelled = false
        /// Tasks and threads that wait for the result.
        var waiting = 0
        var waiters: [UInt64: Waiter] = [:]
        var nextWaiter: UInt64 = 0
    }

    /// The name given, or the place of creation.
    public let name: String
    private let loop: EventLoop
    private let state = Condition(State())

    init(loop: EventLoop, name: String) {
        self.loop = loop
        self.name = name
    }

    /// Cancels the task. From any thread.
    public func cancel() {
        let task = state.withLock { state in
            state.isCancelled = true
            return state.task
        }
        task?.cancel()
    }

    /// The task's value, or its error. Suspends until it has ended.
    ///
    /// A caller that is cancelled stops waiting with `CancellationError`; the task goes on.
    public var value: Success {
        get async throws {
            let number = state.withLock { state in
                state.waiting += 1
                state.nextWaiter += 1
                return state.nextWaiter
            }
            defer { state.withLock { $0.waiting -= 1 } }
            await withTaskCancellationHandler {
                await Waiter.suspend { waiter in
                    state.withLock { state in
                        guard state.result == nil, !Task.isCancelled else { return false }
                        state.waiters[number] = waiter
                        return true
                    }
                }
            } onCancel: {
                state.withLock { $0.waiters.removeValue(forKey: number) }?.wake()
            }
            guard let result = state.withLock({ $0.result }) else { throw CancellationError() }
            return try result.get()
        }
    }

    /// Blocks the calling thread until the task has ended, and returns its value or throws its error.
    ///
    /// For synchronous code on other threads. Throws ``EventLoopError/wouldDeadlock`` on the loop's own thread, and
    /// ``IOError`` with `ETIMEDOUT` after the timeout; the task goes on then.
    public func wait(timeout: Duration? = nil) throws -> Success {
        guard !loop.isCurrent else { throw EventLoopError.wouldDeadlock }
        state.withLock { $0.waiting += 1 }
        defer { state.withLock { $0.waiting -= 1 } }
        let deadline = timeout.map { Instant.monotonicNow.advanced(by: $0) }
        guard let result = state.wait(until: deadline, { $0.result }) else {
            throw IOError(.timedOut, operation: "wait for", subject: name)
        }
        return try result.get()
    }

    func started(_ task: Task<Void, Never>) {
        let isCancelled = state.withLock { state in
            if state.result == nil { state.task = task }
            return state.isCancelled
        }
        if isCancelled { task.cancel() }
    }

    /// Stores the result and wakes who waits. True if somebody does.
    @discardableResult
    func finish(_ result: Result<Success, any Error>) -> Bool {
        let (isAwaited, waiters) = state.withLock { state in
            state.result = result
            state.task = nil
            defer { state.waiters = [:] }
            return (state.waiting > 0, Array(state.waiters.values))
        }
        state.broadcast()
        for waiter in waiters { waiter.wake() }
        return isAwaited
    }
}

/// The background tasks of a loop that have not ended.
final class BackgroundRegistry: Sendable {
    private struct State {
        var tasks: [UInt64: (name: String, cancel: @Sendable () -> Void)] = [:]
        var next: UInt64 = 0
        var isClosed = false
    }

    private let state = Locked(State())

    var count: Int { state.withLock { $0.tasks.count } }

    /// Adds a task. Nil if the loop takes none any more.
    func add(_ name: String, cancel: @escaping @Sendable () -> Void) -> UInt64? {
        state.withLock { state in
            guard !state.isClosed else { return nil }
            state.next += 1
            state.tasks[state.next] = (name, cancel)
            return state.next
        }
    }

    func remove(_ entry: UInt64) {
        _ = state.withLock { $0.tasks.removeValue(forKey: entry) }
    }

    /// Cancels all. Oldest first, outside of the lock.
    func cancelAll() {
        let tasks = state.withLock { $0.tasks.sorted { $0.key < $1.key }.map(\.value.cancel) }
        for cancel in tasks { cancel() }
    }

    /// The names of those that are left, oldest first.
    var names: [String] {
        state.withLock { $0.tasks.sorted { $0.key < $1.key }.map(\.value.name) }
    }

    func close() { state.withLock { $0.isClosed = true } }
}
