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
        start(name: name, place: "\(file):\(line)", reports: true, .ordinary, body)
    }

    /// Runs a body on the loop for a thread that is not the loop's, which may block for the result:
    /// `try loop.submit { … }.wait()`.
    ///
    /// As ``spawn(name:file:line:_:)``, but an error is for whoever asks the handle: it is not reported elsewhere.
    public func submit<Success: Sendable>(
        name: String? = nil, file: StaticString = #fileID, line: UInt = #line,
        _ body: sending @escaping () async throws -> Success
    ) -> BackgroundTask<Success> {
        start(name: name, place: "\(file):\(line)", reports: false, .ordinary, body)
    }

    /// Starts work that the loop finishes whatever becomes of the caller: see ``BackgroundKind/shielded``. It inherits
    /// the caller's task locals and priority, and its owner awaits ``BackgroundTask/ownersValue``.
    package func spawnShielded<Success: Sendable>(
        name: String?, place: String, _ body: sending @escaping () async throws -> Success
    ) -> BackgroundTask<Success> {
        start(name: name, place: place, reports: true, .shielded, body)
    }

    /// Starts background work that is done for the calling task: it inherits its task locals and priority.
    package func spawnForCaller<Success: Sendable>(
        name: String, place: String, _ body: sending @escaping () async throws -> Success
    ) -> BackgroundTask<Success> {
        start(name: name, place: place, reports: true, inherits: true, .ordinary, body)
    }

    /// As ``submit(name:file:line:_:)``, and inherits the calling task's task locals and priority.
    package func submitForCaller<Success: Sendable>(
        name: String, file: StaticString = #fileID, line: UInt = #line,
        _ body: sending @escaping () async throws -> Success
    ) -> BackgroundTask<Success> {
        start(name: name, place: "\(file):\(line)", reports: false, inherits: true, .ordinary, body)
    }

    private func start<Success: Sendable>(
        name: String?, place: String, reports: Bool, inherits: Bool = false, _ kind: BackgroundKind,
        _ body: sending @escaping () async throws -> Success
    ) -> BackgroundTask<Success> {
        let handle = BackgroundTask<Success>(
            loop: self, name: name ?? "task at \(place)", place: place, reports: reports, kind)
        guard let entry = background.add(handle.name, kind, cancel: { handle.cancel() }) else {
            handle.finish(.failure(EventLoopError.closed(self.name)))
            return handle
        }
        let work = Work(body)
        let run: @concurrent @Sendable () async -> Void = { [self] in
            let result: Result<Success, any Error>
            do { result = .success(try await work.run()) } catch { result = .failure(error) }
            handle.finish(result)
            background.remove(entry)
            handle.reportError()
        }
        if kind == .ordinary, !inherits, let context = SpawnContext.current {
            handle.started(makeTask(name: handle.name) { @concurrent @Sendable in await context.around(run) })
            return handle
        }
        switch kind {
        case .ordinary: handle.started(inherits ? startTask(named: handle.name, run) : makeTask(name: handle.name, run))
        // By preference even where the default executor leads here: no plain task, which the loop's end would cancel.
        case .shielded: handle.started(Task(name: handle.name, executorPreference: self, operation: run))
        }
        return handle
    }
}

/// What has become of a task's end that an observer was told of.
package enum EndReception: Sendable { case taken, dropped }

/// A task that a loop owns: what ``EventLoop/spawn(name:file:line:_:)`` and ``EventLoop/submit(name:file:line:_:)``
/// return.
public final class BackgroundTask<Success: Sendable>: Sendable {
    private struct State {
        var result: Result<Success, any Error>?
        var task: Task<Void, Never>?
        var isCancelled = false
        /// Somebody has the error, or it has been reported.
        var errorIsKnown = false
        /// Tasks and threads that wait for the result.
        var waiting = 0
        var waiters: [UInt64: Waiter] = [:]
        var observers: [UInt64: (attention: Attention, body: @Sendable (Result<Success, any Error>) -> Void)] = [:]
        var next: UInt64 = 0

        mutating func number() -> UInt64 {
            next += 1
            return next
        }
    }

    /// The name given, or the place of creation.
    public let name: String
    private let loop: EventLoop
    private let place: String
    private let reports: Bool
    private let state = Condition(State())

    init(loop: EventLoop, name: String, place: String, reports: Bool, _ kind: BackgroundKind) {
        self.loop = loop
        self.name = name
        self.place = place
        self.reports = reports
        // The owner counts from the start: the work may fail before he has begun to wait.
        if kind == .shielded { state.withLock { $0.waiting = 1 } }
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
            state.withLock { $0.waiting += 1 }
            return try await ownersValue
        }
    }

    /// As ``value``, for the one who has started shielded work. Once.
    package var ownersValue: Success {
        get async throws {
            if EventLoop.hasHadItsTurn { await EventLoop.yield() }
            let number = state.withLock { $0.number() }
            await withTaskCancellationHandler {
                await Waiter.suspend(for: self) { waiter in
                    state.withLock { state in
                        guard state.result == nil, !Task.isCancelled else { return false }
                        state.waiters[number] = waiter
                        return true
                    }
                }
            } onCancel: {
                state.withLock { $0.waiters.removeValue(forKey: number) }?.wake()
            }
            // In one breath: a result that comes later finds nobody, and is reported.
            let result = state.withLock { state in
                state.waiting -= 1
                if state.result != nil { state.errorIsKnown = true }
                return state.result
            }
            guard let result else { throw CancellationError() }
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
        let deadline = timeout.map { Instant.monotonicNow.advanced(by: $0) }
        _ = state.wait(until: deadline) { $0.result == nil ? nil : true }
        let result = state.withLock { state in
            state.waiting -= 1
            if state.result != nil { state.errorIsKnown = true }
            return state.result
        }
        guard let result else {
            throw IOError(.timedOut, operation: "wait for", subject: name)
        }
        return try result.get()
    }

    /// An observer that ``Attention/awaits`` was told of the end, and has handed it on or let it fall. Once.
    package func wasReceived(_ reception: EndReception) {
        state.withLock { state in
            state.waiting -= 1
            if reception == .taken { state.errorIsKnown = true }
        }
        reportError()
    }

    /// Tells the loop's error handler of the task's error, once, if nobody has it or will. Not of a cancellation, nor
    /// of an error of submitted work, which is for whoever asks the handle.
    fileprivate func reportError() {
        let error: (any Error)? = state.withLock { state in
            guard reports, state.waiting == 0, !state.errorIsKnown, case .failure(let error) = state.result else {
                return nil
            }
            state.errorIsKnown = true
            return error
        }
        guard let error, !(error is CancellationError) else { return }
        loop.report(error, context: name, place: place)
    }

    /// What an observer of a task's end means for an error.
    package enum Attention: Sendable {
        /// The error is in good hands: it is not reported.
        case awaits
        /// Nobody has looked at the error yet.
        case watches
    }

    /// Calls back once, when the task has ended, on whatever thread it ends; at once, and returning nil, if it has.
    /// Whoever ``Attention/awaits`` may say later what became of the error: ``wasReceived(_:)``.
    package func observe(
        _ attention: Attention, _ body: @escaping @Sendable (Result<Success, any Error>) -> Void
    ) -> UInt64? {
        let (number, result): (UInt64?, Result<Success, any Error>?) = state.withLock { state in
            if attention == .awaits { state.waiting += 1 }
            if let result = state.result { return (nil, result) }
            let number = state.number()
            state.observers[number] = (attention, body)
            return (number, nil)
        }
        if let result { body(result) }
        return number
    }

    /// Takes an observer away that has not been called.
    package func stopObserving(_ number: UInt64) {
        // What the closure has captured is let go outside of the lock.
        let observer = state.withLock { state in
            let observer = state.observers.removeValue(forKey: number)
            if observer?.attention == .awaits { state.waiting -= 1 }
            return observer
        }
        withExtendedLifetime(observer) {}
    }

    func started(_ task: Task<Void, Never>) {
        let isCancelled = state.withLock { state in
            if state.result == nil { state.task = task }
            return state.isCancelled
        }
        if isCancelled { task.cancel() }
    }

    /// Stores the result and wakes who waits.
    func finish(_ result: Result<Success, any Error>) {
        let (waiters, observers) = state.withLock { state in
            state.result = result
            state.task = nil
            defer {
                state.waiters = [:]
                state.observers = [:]
            }
            return (
                state.waiters.sorted { $0.key < $1.key }.map(\.value),
                state.observers.sorted { $0.key < $1.key }.map(\.value.body)
            )
        }
        state.broadcast()
        for waiter in waiters { waiter.wake() }
        for observer in observers { observer(result) }
    }
}

extension BackgroundTask: WaitingPlace {
    package func report(to visitor: Int) -> PlaceReport {
        let task = state.withLock { $0.task }
        return PlaceReport(kind: "background task", name: name, holders: task.map { [TaskID(of: $0)] } ?? [])
    }
}
