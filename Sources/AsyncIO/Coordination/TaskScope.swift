/// Runs a body together with child tasks that it, and others, spawn in a scope; returns when all have ended, and
/// reports all their errors.
///
/// ```swift
/// try await withTaskScope(name: "service") { scope in
///     let address = try await scope.start(name: "server") { started in … started(address) … }
///     try scope.spawn(name: "client") { try await talk(to: address) }
/// }
/// ```
///
/// The body is a child, too: the first error of any cancels all the others. When they have ended, ``TaskScopeError`` is
/// thrown with every error there was, each with its child's name. Cancellations that come from that are no errors, nor
/// is a child that cancels itself by throwing `CancellationError`.
///
/// If the calling task is cancelled, so are body and children; the call throws `CancellationError`, unless there were
/// errors, or all have ended well in spite of it. A task that is cancelled already starts nothing. For
/// ``TaskScope/cancel()`` see there.
///
/// asyncio's `TaskGroup`, trio's nursery.
public func withTaskScope<Success: Sendable>(
    name: String = "scope", _ body: sending @escaping (TaskScope) async throws -> Success
) async throws -> Success {
    try await Visit.enter()
    let scope = TaskScope(name: name)
    let slot = BodySlot<Success>()
    let work = SentWork { try await body(scope) }
    try scope.spawn(name: "body") {
        do {
            slot.value = try await work.run()
        } catch {
            slot.error = error
            throw error
        }
    }
    await withTaskCancellationHandler {
        await scope.serve()
    } onCancel: {
        scope.interrupt()
    }
    return try scope.judge(slot.value, bodyError: slot.error)
}

/// Where children are spawned: see ``withTaskScope(name:_:)``. All methods may be called from any task and any thread,
/// until the scope has ended.
public final class TaskScope: Sendable, CustomStringConvertible {
    /// What the scope is called in errors.
    public let name: String
    private let parking: Parking<ScopeMachine>

    init(name: String) {
        self.name = name
        parking = Parking(ScopeMachine(), name: name, sharing: .acrossThreads)
    }

    /// Starts a child task of the scope: it has the task locals and the priority of the scope's owner, and is cancelled
    /// with the scope. In a scope that has been cancelled, it starts and is cancelled.
    ///
    /// Does not suspend. Throws ``ClosedError`` when body and children have ended, and with them the scope.
    public func spawn(name: String = "child", _ work: sending @escaping () async throws -> Void) throws {
        let work = SentWork(work)
        let job = ScopeJob(name: name) { [self] in
            var error: (any Error)?
            do { try await work.run() } catch let thrown { error = thrown }
            parking.visit { $0.hasEnded(name, error, waking: &$1) }
        }
        guard parking.visit({ $0.add(job, waking: &$1) }) else {
            throw ClosedError(subject: "task scope \"\(self.name)\"", reason: .finished)
        }
    }

    /// Cancels body and children. From inside, or from outside while the scope is open; later it does nothing.
    ///
    /// The scope then ends without an error if there was none: with the body's value if it has returned one; without,
    /// if it returns nothing anyway. A body that was to return a value and was cut short has none: the call throws
    /// `CancellationError`.
    public func cancel() { parking.visit { $0.cancel(by: .request, waking: &$1) } }

    /// Whether body and children have been cancelled, for whatever reason.
    public var isCancelled: Bool { parking.read { $0.isCancelled } }

    /// Children that have not ended, the body among them.
    public var count: Int { parking.read { $0.running } }

    /// `TaskScope(service, 3 children)`.
    public var description: String {
        let count = count
        return "TaskScope(\(name), \(count) \(count == 1 ? "child" : "children"))"
    }

    // MARK: The owner

    /// The owner has been cancelled, and with it body and children.
    func interrupt() { parking.visit { $0.cancel(by: .owner, waking: &$1) } }

    /// Starts children, in the owner's task, until all have ended. Deaf to cancellation: the children hear it.
    func serve() async {
        await withDiscardingTaskGroup { group in
            while true {
                switch await nextStep() {
                case .start(let jobs):
                    for job in jobs { group.addTask(name: job.name) { await job.run() } }
                case .cancel: group.cancelAll()
                case .end: return
                }
            }
        }
    }

    /// What the call returns or throws.
    func judge<Success>(_ value: Success?, bodyError: (any Error)?) throws -> Success {
        let (errors, cause, wasCutShort, sawCancellation) = parking.read { machine in
            (machine.errors, machine.cause, machine.wasCutShort, machine.sawCancellation)
        }
        if !errors.isEmpty { throw TaskScopeError(scope: name, errors: errors) }
        if cause == .owner && wasCutShort || Task.isCancelled && sawCancellation { throw CancellationError() }
        if let value { return value }
        if cause == .request, let nothing = () as? Success { return nothing }
        throw bodyError ?? CancellationError()
    }

    private func nextStep() async -> ScopeMachine.Step {
        while true {
            if let step = parking.read({ $0.nextStep() }) { return step }
            let visitor = await parking.park(patience: .endless) { machine, visitor, _ in machine.wait(visitor) }
            parking.recycle(visitor)
        }
    }
}

/// Where the body leaves what it returned. Written before it ends, read after that.
private final class BodySlot<Success>: @unchecked Sendable {
    var value: Success?
    var error: (any Error)?
}
