import AsyncIOKernel
import AsyncIOLoop

/// When a wait for several tasks is over.
public enum WaitEnd: Sendable, Hashable {
    /// One has ended, with a value or an error.
    case firstCompleted
    /// One has thrown, or all have ended.
    case firstError
    /// All have ended.
    case allCompleted
}

/// What a wait for several tasks has found: places in the collection of handles, ascending.
public struct WaitOutcome: Sendable, Hashable {
    /// Those that have ended.
    public let done: [Int]
    /// Those among them that have thrown.
    public let failed: [Int]
    /// Those that go on.
    public let pending: [Int]
}

/// Waits until one or all of several tasks have ended, or the time is over, and says which have. The tasks go on.
///
/// ```swift
/// let outcome = try await wait(for: tasks, until: .firstError, timeout: .seconds(5))
/// for index in outcome.pending { tasks[index].cancel() }
/// ```
///
/// No task is ever cancelled here, and the end of the timeout is no error. If the calling task is cancelled, the wait
/// ends at once with `CancellationError`. The error of a spawned task counts as awaited if the outcome tells of it. No
/// handles, no wait: the outcome is empty. Throws `EventLoopError.noLoop` if there is a timeout and no loop runs.
///
/// asyncio's `wait`.
public func wait<Handles: Collection>(
    for handles: Handles, until end: WaitEnd = .allCompleted, timeout: Duration? = nil
) async throws -> WaitOutcome where Handles.Element: TaskHandle {
    let watch = EndWatch()
    for handle in handles { watch.add(handle) }
    return try await watch.wait(until: end, timeout: timeout)
}

/// As the other form, for handles of different types.
public func wait(
    for handles: [any TaskHandle], until end: WaitEnd = .allCompleted, timeout: Duration? = nil
) async throws -> WaitOutcome {
    let watch = EndWatch()
    for handle in handles { watch.add(handle) }
    return try await watch.wait(until: end, timeout: timeout)
}

/// Waits until one of several tasks has ended, and returns its place and how it ended. The tasks go on.
///
/// If the calling task is cancelled, the wait ends at once with `CancellationError`. Of tasks that have ended before,
/// any may be the one. There must be at least one handle.
public func waitFirst<Handles: Collection>(
    of handles: Handles
) async throws -> (index: Int, result: Result<Handles.Element.Success, any Error>) where Handles.Element: TaskHandle {
    demand(!handles.isEmpty, "waitFirst needs at least one handle: of none, none is the first")
    var iterator = asCompleted(handles).makeAsyncIterator()
    guard let first = try await iterator.next() else { throw CancellationError() }
    return first
}

/// The ends of several tasks, as they come. Used by one call.
private final class EndWatch {
    private enum Event: Sendable {
        case ended(Int, hasFailed: Bool)
        case timeIsUp
    }

    private let events = AsyncQueue<Event>(capacity: .unbounded, name: "ends of tasks")
    private var tasks: [(observation: TaskObservation, reporting: (any ReportingHandle)?)] = []
    private var ended: [Int: Bool] = [:]
    /// What the tasks hear of their ends: dropped, unless the caller gets to know.
    private var reception = EndReception.dropped

    deinit {
        for task in tasks { task.observation.cancel() }
        // One that comes just now finds the door closed.
        events.finish()
        takeEvents()
        for index in ended.keys { tasks[index].reporting?.wasReceived(reception) }
    }

    func add(_ handle: some TaskHandle) {
        let (index, events) = (tasks.count, events)
        let reporting = handle as? any ReportingHandle
        let observation = handle.whenEnded { result in
            var hasFailed = false
            if case .failure = result { hasFailed = true }
            if !events.tryPut(.ended(index, hasFailed: hasFailed)) { reporting?.wasReceived(.dropped) }
        }
        tasks.append((observation, reporting))
    }

    func wait(until end: WaitEnd, timeout: Duration?) async throws -> WaitOutcome {
        try await Visit.enter()
        let alarm = try timeout.map { [events] in
            try EventLoop.required().alarm(after: $0) { _ = events.tryPut(.timeIsUp) }
        }
        defer { alarm?.cancel() }
        while !isOver(end) {
            guard case .ended(let index, let hasFailed) = try await events.get() else { break }
            ended[index] = hasFailed
        }
        // Those that have ended with it, or before a timeout that was too short to notice; and no others: what the
        // caller is not told of is not taken.
        await EventLoop.yield()
        events.finish()
        takeEvents()
        reception = .taken
        return outcome
    }

    private func takeEvents() {
        while let event = events.tryGet() {
            if case .ended(let index, let hasFailed) = event { ended[index] = hasFailed }
        }
    }

    private func isOver(_ end: WaitEnd) -> Bool {
        if ended.count == tasks.count { return true }
        switch end {
        case .firstCompleted: return !ended.isEmpty
        case .firstError: return ended.values.contains(true)
        case .allCompleted: return false
        }
    }

    private var outcome: WaitOutcome {
        let all = tasks.indices
        return WaitOutcome(
            done: all.filter { ended[$0] != nil }, failed: all.filter { ended[$0] == true },
            pending: all.filter { ended[$0] == nil })
    }
}
