import AsyncIOKernel

/// Runs a body for at most so long: when the time is over, the body is cancelled, and ``TimeoutError`` is thrown once
/// it has ended.
///
/// ```swift
/// let reply = try await withTimeout(.seconds(5)) { try await stream.read() }
/// ```
///
/// Cancellation in Swift is a request: the body decides how to end, and this waits for it. A body that ends with a
/// value after all has its value returned, so nothing that it got is lost; an error of its own stays what it is; only
/// `CancellationError`, and only if this limit caused it, becomes ``TimeoutError``. If the surrounding task is
/// cancelled, that stays `CancellationError`, whatever else happens. Limits nest: each cancels what is inside it.
///
/// Zero or less cancels the body from the start, so it ends at its first suspension; a limit beyond the end of time
/// never expires. The body runs in the caller's isolation and may use its local state. Time is that of the loop which
/// runs here, also a virtual one; where none runs, of the process's.
///
/// asyncio's `timeout` and `wait_for`; SE-0526's `withDeadline(in:)`.
@inlinable
public func withTimeout<Success>(
    _ timeout: Duration, isolation: isolated (any Actor)? = #isolation,
    _ body: nonisolated(nonsending) () async throws -> Success
) async throws -> Success {
    var value: Success?
    try await run(until: nil, timeout: timeout, isolation: isolation) { _ in value = try await body() }
    return unwrapped(value)
}

/// Runs a body for at most so long, and hands it its ``Deadline`` to read and to move.
///
/// See ``withTimeout(_:isolation:_:)``.
@inlinable
public func withTimeout<Success>(
    _ timeout: Duration, isolation: isolated (any Actor)? = #isolation,
    _ body: nonisolated(nonsending) (Deadline) async throws -> Success
) async throws -> Success {
    var value: Success?
    try await run(until: nil, timeout: timeout, isolation: isolation) { value = try await body($0) }
    return unwrapped(value)
}

/// Runs a body until an instant of the loop's clock: when it has come, the body is cancelled, and ``TimeoutError`` is
/// thrown once it has ended.
///
/// See ``withTimeout(_:isolation:_:)``. An instant, unlike a duration, can be handed down through many calls without
/// growing.
@inlinable
public func withDeadline<Success>(
    _ deadline: Instant, isolation: isolated (any Actor)? = #isolation,
    _ body: nonisolated(nonsending) () async throws -> Success
) async throws -> Success {
    var value: Success?
    try await run(until: deadline, timeout: nil, isolation: isolation) { _ in value = try await body() }
    return unwrapped(value)
}

/// Runs a body until an instant of the loop's clock, and hands it its ``Deadline`` to read and to move.
///
/// See ``withDeadline(_:isolation:_:)``.
@inlinable
public func withDeadline<Success>(
    _ deadline: Instant, isolation: isolated (any Actor)? = #isolation,
    _ body: nonisolated(nonsending) (Deadline) async throws -> Success
) async throws -> Success {
    var value: Success?
    try await run(until: deadline, timeout: nil, isolation: isolation) { value = try await body($0) }
    return unwrapped(value)
}

/// Runs a body until an instant of another clock, such as `ContinuousClock`.
///
/// The time that is left on that clock is measured once, at the start; from there on the loop's clock counts. See
/// ``withTimeout(_:isolation:_:)``.
@inlinable
public func withDeadline<Success, C: Clock>(
    _ deadline: C.Instant, clock: C, isolation: isolated (any Actor)? = #isolation,
    _ body: nonisolated(nonsending) () async throws -> Success
) async throws -> Success where C.Duration == Duration {
    try await withDeadline(loopInstant(in: clock.now.duration(to: deadline)), isolation: isolation, body)
}

/// The one way in which a body runs under a deadline: as a child of the calling task, which can be cancelled alone.
///
/// Swift's cancellation is for ever and for the whole task, its children and its handlers; so what is to be cancelled,
/// and not its caller, has to be a task of its own. The caller is suspended while it runs, so the two share what the
/// body captures without a race.
@usableFromInline
func run(
    until deadline: Instant?, timeout: Duration?, isolation: isolated (any Actor)?,
    _ body: nonisolated(nonsending) (Deadline) async throws -> Void
) async throws {
    let loop = EventLoop.ambient
    let deadline = Deadline(deadline ?? loop.now.advanced(by: timeout ?? .zero), on: loop)
    let error = await withoutActuallyEscaping(body) { body in
        let work = Handed(value: body)
        async let error = perform(work, isolation: isolation, under: deadline)
        return await error
    }
    guard let error else { return }
    guard error is CancellationError, deadline.hasExpired, !Task.isCancelled else { throw error }
    throw TimeoutError(expiration: deadline.expiration, timeout: timeout)
}

/// The child's part. Returns the body's error.
private func perform(
    _ work: Handed, isolation: isolated (any Actor)?, under deadline: Deadline
) async -> (any Error)? {
    deadline.begin()
    var failure: (any Error)?
    do {
        try await Deadline.$current.withValue(deadline) { try await work.value(deadline) }
    } catch {
        failure = error
    }
    while !deadline.end() { await Task.yield() }
    return failure
}

/// Carries the body to the child: only one of the two tasks ever runs.
private struct Handed: @unchecked Sendable {
    let value: nonisolated(nonsending) (Deadline) async throws -> Void
}

/// The body has returned without an error: its value is there.
@usableFromInline
func unwrapped<Success>(_ value: consuming Success?) -> Success {
    guard let value else { preconditionFailure("a body returned without a value") }
    return value
}

@usableFromInline
func loopInstant(in duration: Duration) -> Instant { EventLoop.ambient.now.advanced(by: duration) }
