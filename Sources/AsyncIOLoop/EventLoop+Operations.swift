import AsyncIOKernel
import CAsyncIO
import SystemPackage

extension EventLoop {
    /// Performs an operation for the calling task, from whatever thread.
    ///
    /// On the loop's thread it is tried at once, and the task suspends only if it would block; a task on another thread
    /// suspends for one visit to the loop. A cancelled task gets `ECANCELED` without a try. What has been done is
    /// reported as done, also if the task was cancelled meanwhile.
    @inline(__always)
    package func perform(_ operation: Operation) async -> Outcome {
        let begun = begin(operation)
        if case .ended(let outcome) = begun { return outcome }
        return await finish(operation, begun)
    }

    /// The half of ``perform(_:)`` that does not suspend: most operations end here, without an asynchronous call.
    package func begin(_ operation: Operation) -> Begun {
        guard isCurrent else {
            return !operation.isSecondStep && Task.isCancelled ? .ended(.cancelled) : .isElsewhere
        }
        // Before the cancellation: a task that tries again and again although it is cancelled must not keep the loop.
        guard casyncio_spend_share() else { return .mustTakeTurns }
        if !operation.isSecondStep && isCancelled { return .ended(.cancelled) }
        switch core.start(operation) {
        case .completed(let outcome): return .ended(outcome)
        case .pending(let token): return .waits(token)
        }
    }

    /// Begins a read that can only wait, of a task that has just got what there was, and that can be suspended without
    /// a continuation, which it has to be next. Nil, without a trace, for all others.
    package func awaitBytes(_ handle: Handle, limit: Int, _ landing: Operation.Landing) -> Hold? {
        guard isCurrent, casyncio_share() > 0, let task = unsafe swift_task_getCurrent(),
            unsafe !casyncio_task_is_cancelled(task), let word = unsafe core.suspendableWord(of: task),
            let token = core.awaitBytes(handle, limit: limit, lends: landing == .lent)
        else { return nil }
        return unsafe suspended(word, for: token, task)
    }

    /// Whether the running task was cancelled: `Task.isCancelled` without a retain of the task, which runs, and so
    /// lives.
    @inline(__always)
    private var isCancelled: Bool {
        guard let task = unsafe swift_task_getCurrent() else { return false }
        return unsafe casyncio_task_is_cancelled(task)
    }

    /// The half of ``perform(_:)`` that suspends.
    package func finish(_ operation: Operation, _ begun: Begun) async -> Outcome {
        var (operation, begun) = (operation, begun)
        while true {
            switch begun {
            case .ended(let outcome): return outcome
            case .waits(let token):
                let outcome = await wait(for: token)
                // The second step of an operation in two: nearly always it ends at once.
                guard outcome.result == Outcome.again.result else { return outcome }
                operation = operation.second(after: token)
            case .isElsewhere:
                let remote = RemoteOperation(operation)
                let outcome = await performFromOutside(remote)
                guard outcome.result == Outcome.again.result, let first = remote.token else { return outcome }
                operation = operation.second(after: first)
            case .mustTakeTurns: await takeTurns()
            }
            begun = begin(operation)
        }
    }

    // MARK: Without an operation's slot

    // What ends at once needs no slot to be found again. For whoever counts or watches, it is an operation as others.

    /// Sends what the kernel takes at once: a number of bytes, or a negated error number. 0 if it has to be asked for
    /// as an operation: elsewhere than on the loop, in a cancelled task, while another task sends, and so on.
    package func sendAtOnce(_ handle: Handle, _ bytes: UnsafeRawBufferPointer) -> Int {
        guard unsafe !bytes.isEmpty, isCurrent, casyncio_share() > 0, !isCancelled,
            let result = core.withDescriptors({ unsafe $0.sendAtOnce(handle, bytes) })
        else { return 0 }
        // What is left is asked for as an operation, and counts as one.
        if result < 0 || result == bytes.count { core.noteImmediate("write", handle.descriptor) }
        return result
    }

    /// The second step of a read, which nearly always ends at once: see ``Operation/Steps``. Nil if it has to be asked
    /// for as an operation.
    package func receiveAtOnce(
        _ handle: Handle, limit: Int, _ landing: Operation.Landing, after first: Token
    ) -> Outcome? {
        guard isCurrent, casyncio_share() > 0,
            let outcome = core.withDescriptors({
                $0.receiveBytesAtOnce(handle, limit: limit, landing, after: first)
            }) ?? nil
        else { return nil }
        core.noteImmediate("read", handle.descriptor)
        return outcome
    }

    /// Takes back memory that ``Outcome/lent`` has lent. From whatever thread.
    package func takeBack(_ memory: UnsafeMutableRawPointer) {
        let isTaken: Void? = core.withDescriptors {
            if isCurrent { unsafe $0.takeBack(memory) } else { unsafe $0.takeBackElsewhere(memory) }
        }
        if isTaken == nil { unsafe memory.deallocate() }
    }

    // MARK: With one

    /// How far an operation got without suspending.
    package enum Begun: Sendable {
        case ended(Outcome)
        case waits(Token)
        /// The task runs on another thread.
        case isElsewhere
        /// The job has done enough for now.
        case mustTakeTurns
    }

    /// Suspends until the operation's completion.
    ///
    /// Between the start of an operation and this call the compiler may put a change of executors: code of an actor
    /// returns to its actor only when it has to, which in a release build is here, and the task goes through the ready
    /// queue or to another thread for that. So the operation may have ended meanwhile, and the thread may not be the
    /// loop's. A cancellation record is taken away in the frame that it was made in: the runtime's records are a stack,
    /// together with the frames.
    @inlinable
    @inline(__always)
    package func wait(for token: Token) async -> Outcome {
        guard let hold = holdSuspended(token) else { return await waitByContinuation(token) }
        await suspendRunningTask()
        return take(hold)
    }

    /// A running task's claim to the completion of an operation.
    @safe
    @usableFromInline
    package struct Hold {
        /// Its own, on whatever thread it goes on, until it takes what has come.
        let slot: UnsafeMutablePointer<OperationTable.Slot>
        /// Its cancellation record, unless the task's scope has one.
        let record: UnsafeMutableRawPointer?

        /// The operation's, until it is taken.
        package var token: Token {
            precondition(unsafe slot.pointee.isHeldByTask, "the outcome has been taken")
            return unsafe slot.pointee.token
        }
    }

    /// The running task's claim, if it can be suspended without a continuation, which it has to be next.
    @usableFromInline
    package func holdSuspended(_ token: Token) -> Hold? {
        guard isCurrent, let task = unsafe swift_task_getCurrent(), let word = unsafe core.suspendableWord(of: task),
            core.operations.contains(token)
        else { return nil }
        return unsafe suspended(word, for: token, task)
    }

    /// The running task waits without a continuation.
    @inline(__always)
    private func suspended(_ word: ReadyWord, for token: Token, _ task: UnsafeMutableRawPointer) -> Hold {
        let slot = unsafe core.operations.park(word, on: token, heldBy: task)
        return unsafe Hold(slot: slot, record: listen(token, of: task))
    }

    /// The running task's cancellation cancels the operation. Its record, unless the task's scope has one.
    @inline(__always)
    private func listen(_ token: Token, of task: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
        if core.suspendsTasks, let task = unsafe task, unsafe CancellationScope.hears(token, of: task, on: self) {
            return nil
        }
        return unsafe core.operations.listen(token, loop: self)
    }

    /// What the task was suspended for.
    @usableFromInline
    package func take(_ hold: Hold) -> Outcome {
        if let record = unsafe hold.record { unsafe casyncio_remove_cancellation_handler(record) }
        if isCurrent { return unsafe core.operations.settle(hold.slot) }
        // After a visit to a default actor that is drained elsewhere, a task may go on on another thread.
        let token = hold.token
        let outcome = unsafe OperationTable.take(hold.slot)
        post(.letGo(token))
        return outcome
    }

    /// The same by a continuation. Up to its closure, executors may be changed as well.
    @inline(never)
    @usableFromInline
    package func waitByContinuation(_ token: Token) async -> Outcome {
        if isCurrent {
            let task = unsafe swift_task_getCurrent()
            unsafe core.operations.hold(token, by: task)
            let record = unsafe listen(token, of: task)
            let outcome = unsafe await withUnsafeContinuation { unsafe park($0, token, nil) }
            if let record = unsafe record { unsafe casyncio_remove_cancellation_handler(record) }
            if isCurrent { core.operations.letGo(token) } else { post(.letGo(token)) }
            return outcome
        }
        let elsewhere = RemoteWait(self, token)
        let record = unsafe elsewhere.listen()
        let outcome = unsafe await withUnsafeContinuation { unsafe park($0, token, elsewhere) }
        // Only that: nobody holds the operation's slot, which was given back when it ended.
        withExtendedLifetime(elsewhere) { unsafe casyncio_remove_cancellation_handler(record) }
        return outcome
    }

    private func park(
        _ continuation: UnsafeContinuation<Outcome, Never>, _ token: Token, _ elsewhere: RemoteWait?
    ) {
        if isCurrent {
            if let early = unsafe core.operations.park(continuation, on: token) {
                unsafe continuation.resume(returning: early)
            }
        } else {
            let wait = elsewhere ?? RemoteWait(self, token)
            unsafe wait.continuation = continuation
            if !post(.wait(wait)) { unsafe continuation.resume(returning: Outcome(Errno.loopClosed.negated)) }
        }
    }

    /// Asks for an operation's early end, from whatever thread.
    package func cancel(_ token: Token) {
        if isCurrent { core.cancel(token) } else { post(.cancel(token)) }
    }

    private func performFromOutside(_ remote: RemoteOperation) async -> Outcome {
        await withTaskCancellationHandler {
            unsafe await withUnsafeContinuation { continuation in
                unsafe remote.continuation = continuation
                if !post(.start(remote)) {
                    unsafe remote.continuation = nil
                    unsafe continuation.resume(returning: Outcome(Errno.loopClosed.negated))
                }
            }
        } onCancel: {
            post(.cancelRemote(remote))
        }
    }

    /// Lets everything that is ready run first: the calling task queues again behind it.
    ///
    /// As `Task.yield()`, at half its price. Not a cancellation point. Where no loop runs, it *is* `Task.yield()`.
    @inlinable
    public static func yield() async { await letOthersGoFirst() }

    /// As ``yield()``, for a task that runs on this loop.
    @inline(__always)
    fileprivate func takeTurns() async {
        if queueBehindOthers() { await suspendRunningTask() } else { await takeTurnsByContinuation() }
        EventLoop.taskWaits(at: nil)
    }

    /// False if the running task needs a continuation for that.
    private func queueBehindOthers() -> Bool {
        EventLoop.taskWaits(at: Errand.turn)
        guard let word = core.suspendableWord else { return false }
        core.yielding.append(.word(word))
        return true
    }

    @inline(never)
    private func takeTurnsByContinuation() async {
        unsafe await withUnsafeContinuation { unsafe core.yielding.append(.continuation($0)) }
    }

    /// Performs an operation that never waits, without a task: on the loop now, from elsewhere soon.
    package func performSoon(closing handle: Handle, _ closing: Closing = .orderly) {
        OpenResources.closed(ResourceKey(handle))
        guard isCurrent else { return _ = post(.close(handle, closing)) }
        // A stream that goes closes what mostly is closed already.
        if core.withDescriptors({ $0.isCurrent(handle) }) != false { _ = core.start(.close(handle, closing)) }
    }

    /// Performs an operation that never waits, if the caller runs on the loop; nil elsewhere.
    package func performNow(_ operation: Operation) -> Outcome? {
        guard isCurrent, case .completed(let outcome) = core.start(operation) else { return nil }
        return outcome
    }

    /// Suspends until somebody else's descriptor can be read without blocking, or has failed.
    ///
    /// For libraries that own their sockets: libpq, hiredis, libcurl. Regular files are always readable. The descriptor
    /// must stay open meanwhile; over io_uring, a wait under way keeps open what it refers to. Throws
    /// `CancellationError`, or ``IOError`` with `EBADF` for a number that is not open and `EBUSY` if a task waits for
    /// the same already, or if the descriptor belongs to one of this package's streams.
    public func waitReadable(_ descriptor: Int32) async throws {
        try await check(perform(.waitReadable(descriptor)), "wait readable", "descriptor \(descriptor)")
    }

    /// Suspends until somebody else's descriptor can be written without blocking, or has failed.
    ///
    /// As ``waitReadable(_:)``.
    public func waitWritable(_ descriptor: Int32) async throws {
        try await check(perform(.waitWritable(descriptor)), "wait writable", "descriptor \(descriptor)")
    }

    /// Throws what an outcome reports: the task's cancellation, or an error about the subject.
    @discardableResult
    package func check(
        _ outcome: Outcome, _ operation: String, _ subject: @autoclosure () -> String
    ) throws -> Int {
        if outcome.result >= 0 { return outcome.result }
        let code = Errno(negated: outcome.result)
        switch code {
        case .canceled where Task.isCancelled:
            throw CancellationError()
        case .canceled:
            throw IOError(code, operation: operation, subject: subject(), detail: "closed while the operation waited")
        case _ where isClosed:
            throw EventLoopError.closed(name)
        case .badFileDescriptor:
            throw IOError(code, operation: operation, subject: subject(), detail: "already closed")
        case .resourceBusy:
            let rival = outcome.bytes.map { "the task \(String(decoding: $0, as: UTF8.self))" } ?? "another task"
            let detail = "\(rival) is at it already; use one reader and one writer at a time"
            throw IOError(code, operation: operation, subject: subject(), detail: detail)
        default:
            throw IOError(code, operation: operation, subject: subject())
        }
    }
}

extension EventLoop {
    /// Whether somebody besides the calling task would notice if the loop stood still for a moment: a task that is
    /// ready or waits for input, output or a time. Asked from elsewhere than the loop's thread, always true.
    package var hasOthersToServe: Bool {
        guard isCurrent else { return true }
        // The loop's own wait for Ctrl-C is nobody's.
        let own = options.interrupts.isEmpty ? 0 : 1
        return !core.ready.isEmpty || !core.yielding.isEmpty || !core.timers.isEmpty || core.operations.count > own
    }

    /// Whether the running job has completed its share of operations without suspending, and queues again before the
    /// next: ``Fairness/operationsPerJob``. Each call counts as one operation. Elsewhere than on a loop, always false.
    @inline(__always)
    package static var hasHadItsTurn: Bool { !casyncio_spend_share() }
}

/// ``EventLoop/yield()``: no method, since that would be one more asynchronous call.
@usableFromInline
func letOthersGoFirst() async {
    guard let pointer = unsafe casyncio_current_loop() else { return await letOthersGoFirstElsewhere() }
    await unsafe Unmanaged<EventLoop>.fromOpaque(pointer).takeUnretainedValue().takeTurns()
}

/// Before the main program's loop runs, or where there is none.
@inline(never)
private func letOthersGoFirstElsewhere() async {
    guard let loop = EventLoop.current else { return await Task.yield() }
    await loop.takeTurns()
}
