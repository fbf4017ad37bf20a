import AsyncIOKernel
import AsyncIOLoop

/// Runs pieces of work at the same time, as child tasks, and returns all their values, in the order of the arguments.
///
/// ```swift
/// let (user, orders) = try await gather({ try await loadUser() }, { try await loadOrders() })
/// ```
///
/// The first error cancels the others; when all have ended, it is thrown. A later error, which nobody could catch, goes
/// to the loop's error handler; cancellations do not. Suspends until all have ended. If the calling task is cancelled,
/// so are the children; whatever they make of it decides: values if all of them have one, else the first error,
/// `CancellationError` as a rule. A task that is cancelled already starts nothing.
///
/// asyncio's `gather`, with its `TaskGroup`'s treatment of errors.
public func gather<each Output: Sendable>(
    _ work: repeat @escaping @Sendable () async throws -> each Output
) async throws -> (repeat each Output) {
    var children: [@Sendable () async throws -> Void] = []
    let slots = (repeat GatherSlot.throwing(each work, as: &children))
    try await runAll(children)
    return (repeat try (each slots).take().get())
}

/// Runs a piece of work for each input, at most `limit` at the same time, and returns all outputs in the order of the
/// inputs.
///
/// ```swift
/// let pages = try await gatherEach(addresses, limit: 10) { address in try await fetch(address) }
/// ```
///
/// Inputs are taken one by one, when there is room to work on them. Errors and cancellation as with ``gather(_:)``; no
/// further input is taken then, and a cancelled call that has inputs left throws `CancellationError`. The limit is at
/// least one; `.max` is no limit.
///
/// A name of its own, since closures are not seen as `@Sendable` where a parameter pack has overloads (Swift 6.3).
/// asyncio has no such thing; people combine `gather` and `Semaphore`.
public func gatherEach<Inputs: Sequence, Output: Sendable>(
    _ inputs: Inputs, limit: Int, _ work: @escaping @Sendable (Inputs.Element) async throws -> Output
) async throws -> [Output] where Inputs.Element: Sendable {
    demand(limit >= 1, "gatherEach needs a limit of at least one, not \(limit)")
    try await Visit.enter()
    return try await withThrowingTaskGroup(of: (Int, Output).self) { group in
        var (outputs, running): ([Output?], Int) = ([], 0)
        var rest = inputs.makeIterator()
        do {
            while true {
                if running < limit, let input = rest.next() {
                    try await Visit.enter()
                    let index = outputs.count
                    outputs.append(nil)
                    running += 1
                    group.addTask { (index, try await work(input)) }
                } else if let (index, output) = try await group.next() {
                    outputs[index] = output
                    running -= 1
                } else {
                    return outputs.compactMap(\.self)
                }
            }
        } catch {
            group.cancelAll()
            while let late = await group.nextResult() { reportLate(late, "gather") }
            throw error
        }
    }
}

/// Runs pieces of work at the same time, as child tasks, and returns how each of them ended, in the order of the
/// arguments.
///
/// An error cancels nobody. Suspends until all have ended. If the calling task is cancelled, so are the children, and
/// their results say what they made of it: nothing is lost, so nothing is thrown.
///
/// asyncio's `gather(return_exceptions=True)`.
public func gatherResults<each Output: Sendable>(
    _ work: repeat @escaping @Sendable () async throws -> each Output
) async -> (repeat Result<each Output, any Error>) {
    var children: [@Sendable () async throws -> Void] = []
    let slots = (repeat GatherSlot.collecting(each work, as: &children))
    await withTaskGroup(of: Void.self) { group in
        for child in children { group.addTask { try? await child() } }
    }
    return (repeat (each slots).take())
}

/// Runs a piece of work for each input, at most `limit` at the same time, and returns how each of them ended, in the
/// order of the inputs.
///
/// An error cancels nobody. If the calling task is cancelled, so are the children, and no further input is taken: the
/// call throws `CancellationError` if there are inputs left, and otherwise returns what the children made of it. The
/// limit is at least one; `.max` is no limit.
public func gatherEachResult<Inputs: Sequence, Output: Sendable>(
    _ inputs: Inputs, limit: Int, _ work: @escaping @Sendable (Inputs.Element) async throws -> Output
) async throws -> [Result<Output, any Error>] where Inputs.Element: Sendable {
    try await gatherEach(inputs, limit: limit) { input in await Result.of { try await work(input) } }
}

/// Runs children until all have ended. The first error cancels the others and is thrown.
private func runAll(_ children: [@Sendable () async throws -> Void]) async throws {
    try await Visit.enter()
    try await withThrowingTaskGroup(of: Void.self) { group in
        for child in children { group.addTask { try await child() } }
        do {
            while try await group.next() != nil {}
        } catch {
            group.cancelAll()
            while let late = await group.nextResult() { reportLate(late, "gather") }
            throw error
        }
    }
}

/// An error that comes after the one that is thrown is not silent.
private func reportLate<Output>(_ result: Result<Output, any Error>, _ context: String) {
    guard case .failure(let error) = result, !(error is CancellationError) else { return }
    EventLoop.ambient.report(error, context: "\(context), after its first error")
}

/// Where a child leaves its result. Written before the child ends, read after that.
private final class GatherSlot<Output: Sendable>: @unchecked Sendable {
    private var result: Result<Output, any Error>?

    /// A child whose error is its own.
    static func throwing(
        _ work: @escaping @Sendable () async throws -> Output, as children: inout [@Sendable () async throws -> Void]
    ) -> GatherSlot {
        let slot = GatherSlot()
        children.append { slot.result = .success(try await work()) }
        return slot
    }

    /// A child that never throws.
    static func collecting(
        _ work: @escaping @Sendable () async throws -> Output, as children: inout [@Sendable () async throws -> Void]
    ) -> GatherSlot {
        let slot = GatherSlot()
        children.append { slot.result = await Result.of(work) }
        return slot
    }

    func take() -> Result<Output, any Error> {
        guard let result else { preconditionFailure("a child has ended and left no result") }
        return result
    }
}
