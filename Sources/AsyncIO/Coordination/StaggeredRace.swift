import AsyncIOLoop

/// Tries one input after the other, without waiting for long: the next attempt begins when the delay has passed or the
/// last one has failed, and the first success wins.
///
/// ```swift
/// let (_, stream) = try await staggeredRace(addresses, delay: .milliseconds(250)) { address in
///     try await TCPStream.connect(to: address)
/// } discarding: { stream in stream.close() }
/// ```
///
/// Inputs are taken one by one, when their attempt begins. The losers are cancelled, and awaited before the call
/// returns; a late success goes to `discarding`, which is not cancelled itself. Throws ``RaceError`` with all errors if
/// every attempt has failed or there is no input, and `EventLoopError.noLoop` where no loop runs. If the calling task
/// is cancelled, no attempt begins any more, the others are cancelled, and the call throws `CancellationError` unless
/// one succeeds all the same.
///
/// RFC 8305 (happy eyeballs), section 5; hedged requests; asyncio's `staggered_race`.
public func staggeredRace<Inputs: Sequence, Value: Sendable>(
    _ inputs: Inputs, delay: Duration, attempt: @escaping @Sendable (Inputs.Element) async throws -> Value,
    discarding: (@Sendable (Value) async -> Void)? = nil
) async throws -> (index: Int, value: Value) where Inputs.Element: Sendable {
    try await Visit.enter()
    let loop = try EventLoop.required()
    let events = AsyncQueue<StaggeredEvent<Value>>(capacity: .unbounded, name: "staggered race")
    var finish = RaceFinish<Value>(end: .firstSuccess)
    var late: [Value] = []
    await withDiscardingTaskGroup { group in
        var rest = inputs.makeIterator()
        var (started, running) = (0, 0)
        var alarm: ScheduledCall?

        func startNext() {
            alarm?.cancel()
            alarm = nil
            guard let input = rest.next() else { return }
            let index = started
            started += 1
            running += 1
            group.addTask {
                let result = await Result.of { try await attempt(input) }
                _ = events.tryPut(.ended(index, result))
            }
            alarm = loop.alarm(after: delay) { _ = events.tryPut(.delayIsOver(index)) }
        }

        startNext()
        while running > 0, finish.winner == nil, let event = try? await events.get() {
            switch event {
            case .delayIsOver(let index):
                if index == started - 1 { startNext() }
            case .ended(let index, let result):
                running -= 1
                if let value = finish.arrives(index, result) { late.append(value) }
                if finish.winner == nil && index == started - 1 { startNext() }
            }
        }
        alarm?.cancel()
        group.cancelAll()
    }
    // All have ended, and told so.
    while let event = events.tryGet() {
        guard case .ended(let index, let result) = event else { continue }
        if let value = finish.arrives(index, result) { late.append(value) }
    }
    for value in late { await Discarding(handler: discarding).discard(value) }
    let value = try finish.value.get()
    return (finish.winner?.index ?? 0, value)
}

private enum StaggeredEvent<Value: Sendable>: Sendable {
    case delayIsOver(Int)
    case ended(Int, Result<Value, any Error>)
}
