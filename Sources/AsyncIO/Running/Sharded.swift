public import AsyncIOLoop

/// State that is spread over the loops of a group: one actor on each of them.
///
/// ```swift
/// actor Rooms: LoopActor { … }
/// let rooms = Sharded(over: group) { Rooms(loop: $0) }
/// await rooms[of: "lobby"].say("hello")        // the same actor for the same key, always
/// ```
///
/// A call to the shard of the loop that runs here does not leave the thread; one to another costs an entry in that
/// loop's inbox, there and back.
public struct Sharded<Shard: LoopActor>: Sendable {
    /// The shards, in the order of the group's loops.
    public let shards: [Shard]

    /// Makes one actor for each loop. It must live on the loop that it is made for.
    public init(over group: LoopGroup, _ make: (EventLoop) throws -> Shard) rethrows {
        shards = try group.loops.map { loop in
            let shard = try make(loop)
            precondition(shard.loop === loop, "a shard has to live on the loop that it was made for")
            return shard
        }
    }

    /// The shard that a key belongs to: always the same while the process lives, and another one the next time it runs.
    public subscript(of key: some Hashable) -> Shard {
        var hasher = Hasher()
        hasher.combine(key)
        return shards[Int(UInt(bitPattern: hasher.finalize()) % UInt(shards.count))]
    }

    /// The shard on a loop; nil for a loop of elsewhere.
    public subscript(on loop: EventLoop) -> Shard? { shards.first { $0.loop === loop } }

    /// The shard on the loop that runs here; nil where none of the group's does.
    public var here: Shard? { EventLoop.current.flatMap { self[on: $0] } }
}

/// A value for each loop of a group, which code on that loop reads and changes without suspending and without a lock:
/// counters, caches, pools.
///
/// ```swift
/// let served = LoopLocal(over: group) { _ in 0 }
/// served.withValue { $0 += 1 }                 // in a handler
/// let total = try await served.collect { $0 }.reduce(0, +)
/// ```
public final class LoopLocal<Value: Sendable>: Sendable {
    /// The value of one loop. Its thread alone may touch it.
    @safe
    private final class Cell: Sendable {
        let loop: EventLoop
        @safe nonisolated(unsafe) var value: Value
        init(_ loop: EventLoop, _ value: Value) {
            self.loop = loop
            self.value = value
        }
    }

    private let cells: [Cell]

    /// Makes the values, on the calling thread.
    public init(over group: LoopGroup, _ make: (EventLoop) throws -> Value) rethrows {
        cells = try group.loops.map { Cell($0, try make($0)) }
    }

    /// Lends the value of the loop that runs here, to be read or changed; must not be called from inside of the
    /// closure. Elsewhere than on a loop of the group, the closure is not called, and nil is returned.
    @discardableResult
    public func withValue<Result>(_ body: (inout Value) throws -> Result) rethrows -> Result? {
        guard let cell = cells.first(where: { $0.loop.isCurrent }) else { return nil }
        return try body(&cell.value)
    }

    /// Visits the loops one after the other, and returns what the closure says of each value, in the loops' order.
    ///
    /// Throws what the closure throws, `CancellationError`, and `EventLoopError.closed` if a loop has ended.
    public func collect<Result: Sendable>(
        _ body: @escaping @Sendable (inout Value) throws -> Result
    ) async throws -> [Result] {
        var results: [Result] = []
        for cell in cells {
            results.append(try await cell.loop.submit(name: "collect") { try body(&cell.value) }.value)
        }
        return results
    }
}
