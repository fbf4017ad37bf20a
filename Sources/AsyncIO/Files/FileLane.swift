import AsyncIOKernel
import AsyncIOLoop
import SystemPackage

/// How a file call is carried out: by the loop's driver, or, where that could only block, on a thread of its pool.
enum FileLane {
    /// Performs a call for the calling task, from whatever thread.
    ///
    /// The call, its memory and its descriptors belong to it until this returns; so does the caller's frame, which
    /// keeps them alive. A cancelled task gets `ECANCELED` if the call has not begun; once begun on a thread,
    /// its outcome is returned. A ring may also give up a read or a sync that has begun, which has read nothing then.
    static func perform(_ call: FileCall, on loop: EventLoop) async -> Outcome {
        let outcome = await loop.perform(.file(call))
        guard outcome.result == Outcome.needsThread.result else { return outcome }
        return await onThread(call.name, on: loop) { call.perform() }
    }

    /// Performs a call, and throws what it reports.
    @discardableResult
    static func run(
        _ call: FileCall, on loop: EventLoop, _ subject: @autoclosure () -> String
    ) async throws -> Int {
        try check(await perform(call, on: loop), call.name, subject(), on: loop)
    }

    /// Performs a call although the task may have been cancelled, and the loop may be ending: what has to be closed is
    /// closed. Only for what no driver interrupts.
    @discardableResult
    static func performAnyway(_ call: FileCall, on loop: EventLoop) async -> Outcome {
        let outcome = await loop.perform(.file(call))
        do {
            switch outcome.result {
            case Outcome.needsThread.result: return try await loop.offloadCalls(name: call.name) { call.perform() }
            case Errno.canceled.negated where Task.isCancelled: throw CancellationError()
            case Errno.loopClosed.negated: throw EventLoopError.closed(loop.name)
            default: return outcome
            }
        } catch is CancellationError {
            // Not begun.
            let task = UncancelledTask.start(name: call.name) { await performAnyway(call, on: loop) }
            return (try? await task.value) ?? outcome
        } catch {
            // Not begun either, and nobody else will do it: an ending loop's threads take nothing new.
            return call.perform()
        }
    }

    /// Does several calls in one visit to the pool. Only after a driver has answered ``Outcome/needsThread``.
    static func onThread(
        _ name: String, on loop: EventLoop, _ work: @escaping @Sendable () -> Outcome
    ) async -> Outcome {
        do {
            return try await loop.offloadCalls(name: name, work)
        } catch {
            return error is CancellationError ? .cancelled : Outcome(Errno.loopClosed.negated)
        }
    }

    /// Throws what an outcome reports: the task's cancellation, the loop's end, or an error about the subject.
    @discardableResult
    static func check(
        _ outcome: Outcome, _ operation: String, _ subject: @autoclosure () -> String, on loop: EventLoop
    ) throws -> Int {
        if outcome.result >= 0 { return outcome.result }
        let code = Errno(negated: outcome.result)
        if code == .canceled && Task.isCancelled { throw CancellationError() }
        // Also before the loop has ended, when its threads take nothing new.
        if code == .loopClosed { throw EventLoopError.closed(loop.name) }
        throw IOError(code, operation: operation, subject: subject())
    }

    /// What every call that may end at once does first: others go before a task that has had its turn, and a cancelled
    /// task begins nothing.
    @inline(__always)
    static func enter() async throws {
        if EventLoop.hasHadItsTurn { await EventLoop.yield() }
        if Task.isCancelled { throw CancellationError() }
    }

    // MARK: Descriptors of others

    /// What a descriptor has from an offset, or from where it stands, at most so many bytes; none at its end.
    static func bytes(
        of number: CInt, at offset: Int64? = nil, count: Int, on loop: EventLoop, _ subject: @autoclosure () -> String
    ) async throws -> [UInt8] {
        var bytes = unsafe [UInt8](unsafeUninitializedCapacity: count) { _, filled in filled = count }
        // The array is this frame's alone, and is not touched until the call has ended.
        let memory = unsafe bytes.withUnsafeMutableBytes { unsafe $0 }
        let read = unsafe try await run(.read(number, into: memory, at: offset), on: loop, subject())
        bytes.removeLast(count - min(read, count))
        return File.trimmed(bytes)
    }

    /// Writes all of the bytes where a descriptor stands.
    static func writeAll(
        _ bytes: [UInt8], to number: CInt, on loop: EventLoop, _ subject: @autoclosure () -> String
    ) async throws {
        var written = 0
        while written < bytes.count {
            // The array is the caller's, and is not changed until this function returns.
            let rest = unsafe bytes.withUnsafeBytes { unsafe UnsafeRawBufferPointer(rebasing: $0[written...]) }
            unsafe written += try await run(.write(number, rest, at: nil), on: loop, subject())
        }
        withExtendedLifetime(bytes) {}
    }
}
