import AsyncAlgorithms
import Synchronization

/// Works of tasks alone, as Swift's own concurrency does them, on whichever executor is the global one. Does the work
/// `count` times and prints the result; false if there is no such work. Away from the main actor: its thread is not one
/// of the executor's, and each switch would be one between threads.
@concurrent
public func runTaskWork(_ work: String, _ count: Int) async throws -> Bool {
    switch work {
    case "spawn": await measure(work, count, spawn)
    case "switch": await measure(work, count, switching)
    case "queue": try await measure(work, count, queue)
    case "hand-over": try await measure(work, count, handOver)
    case "lock": await measure(work, count, lock)
    case "async-let": await measure(work, count, asyncLet)
    case "group": await measure(work, count, groups)
    case "sleepers": await sleepers(count)
    case "parked": await parked(count)
    case "call": await measure(work, count, calls)
    default: return false
    }
    return true
}

func spawn(_ count: Int) async {
    for start in stride(from: 0, to: count, by: 100) {
        await withDiscardingTaskGroup { group in
            for _ in start..<min(count, start + 100) { group.addTask {} }
        }
    }
}

func switching(_ count: Int) async {
    await withDiscardingTaskGroup { group in
        for _ in 0..<2 {
            group.addTask { for _ in 0..<count / 2 { await Task.yield() } }
        }
    }
}

/// Swift itself has no bounded queue; swift-async-algorithms has one.
func queue(_ count: Int) async throws {
    var both = MultiProducerSingleConsumerAsyncChannel.makeChannel(
        of: Int.self, backpressureStrategy: .watermark(low: 32, high: 64))
    var channel = both.takeChannel()
    let source = Once(both.source)
    let sending = Task {
        guard var source = source.take() else { return }
        for number in 0..<count { try await source.send(number) }
        source.finish()
    }
    var expected = 0
    while let number = await channel.next() {
        precondition(number == expected)
        expected += 1
    }
    precondition(expected == count, "an item was lost")
    try await sending.value
}

/// Takes something that cannot be copied into another task, which takes it out once.
final class Once<Value: ~Copyable>: @unchecked Sendable {
    private var value: Value?

    init(_ value: consuming sending Value) { self.value = consume value }

    func take() -> Value? { value.take() }
}

/// The same with room for one. (`AsyncChannel` has no room at all and took twice as long.)
func handOver(_ count: Int) async throws {
    var asking = MultiProducerSingleConsumerAsyncChannel.makeChannel(
        of: Int.self, backpressureStrategy: .watermark(low: 1, high: 1))
    var answering = MultiProducerSingleConsumerAsyncChannel.makeChannel(
        of: Int.self, backpressureStrategy: .watermark(low: 1, high: 1))
    let arriving = Once(asking.takeChannel())
    var answers = answering.takeChannel()
    let back = Once(answering.source)
    var there = asking.source
    let other = Task {
        guard var arriving = arriving.take(), var back = back.take() else { return }
        while let number = await arriving.next() { try await back.send(number) }
        back.finish()
    }
    for number in 0..<count {
        try await there.send(number)
        let answer = await answers.next()
        precondition(answer == number, "an item was lost")
    }
    there.finish()
    try await other.value
}

/// An actor is what guards state across tasks; there is no other lock that suspends.
actor Guarded {
    var value = 0

    func increment() { value += 1 }
}

func lock(_ count: Int) async {
    let guarded = Guarded()
    for _ in 0..<count { await guarded.increment() }
    let value = await guarded.value
    precondition(value == count)
}

func asyncLet(_ count: Int) async {
    for number in 0..<count {
        async let child = number
        let value = await child
        precondition(value == number)
    }
}

func groups(_ count: Int) async {
    for _ in 0..<count / 10 {
        await withTaskGroup { group in
            for number in 0..<10 { group.addTask { number } }
            var sum = 0
            for await number in group { sum += number }
            precondition(sum == 45)
        }
    }
}

func sleepers(_ count: Int) async {
    let mark = Mark()
    await withDiscardingTaskGroup { group in
        for _ in 0..<count {
            group.addTask { try? await Task.sleep(for: .seconds(3)) }
        }
    }
    mark.reportMemory("sleepers", count)
}

/// On a bare continuation, which costs the least.
func parked(_ count: Int) async {
    let mark = Mark()
    let arrived = Counter()
    let waiting = Task {
        await withDiscardingTaskGroup { group in
            for _ in 0..<count {
                group.addTask {
                    await withUnsafeContinuation { (_: UnsafeContinuation<Void, Never>) in arrived.add() }
                }
            }
        }
    }
    while arrived.value < count { await Task.yield() }
    mark.reportMemory("parked", count)
    waiting.cancel()
}

/// Next to nothing: what is called for no purpose at all, the optimizer leaves out.
@inline(never)
func next(_ number: Int) async -> Int { number &+ 1 }

func calls(_ count: Int) async {
    var number = 0
    for _ in 0..<count { number = await next(number) }
    precondition(number == count)
}

/// Counts from many threads.
public final class Counter: Sendable {
    private let count = Atomic(0)

    /// From zero.
    public init() {}

    /// How often it was counted.
    public var value: Int { count.load(ordering: .acquiring) }

    /// Counts once.
    public func add() { count.add(1, ordering: .acquiringAndReleasing) }
}
