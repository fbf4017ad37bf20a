import AsyncIOKernel
import AsyncIOTestSupport
import Testing

@testable import AsyncIOLoop

@Suite("The timers")
struct TimerHeapTests {
    private func action(_ number: Int) -> TimerAction { .makeReady(ReadyWord(bits: UInt(number) << 4)) }

    private func number(_ action: TimerAction?) -> Int? {
        guard case .makeReady(let word) = action else { return nil }
        return Int(word.bits >> 4)
    }

    private func at(_ nanoseconds: Int64) -> Instant { Instant(nanoseconds: nanoseconds) }

    @Test("timers of one deadline fire in the order in which they were armed")
    func fifo() {
        var heap = TimerHeap()
        for number in 0..<1000 { _ = heap.insert(at: at(Int64(number % 3)), action(number)) }
        var fired: [Int] = []
        while let next = number(heap.popDue(at: at(2))) { fired.append(next) }
        let expected = (0..<3).flatMap { deadline in (0..<1000).filter { $0 % 3 == deadline } }
        #expect(fired == expected)
    }

    @Test("nothing fires before its deadline")
    func early() {
        var heap = TimerHeap()
        _ = heap.insert(at: at(100), action(1))
        #expect(heap.popDue(at: at(99)) == nil)
        #expect(number(heap.popDue(at: at(100))) == 1)
        #expect(heap.popDue(at: .distantFuture) == nil)
    }

    @Test("a cancelled timer leaves at once, and its name finds nothing afterwards")
    func cancelled() {
        var heap = TimerHeap()
        let timers = (0..<100).map { heap.insert(at: at(Int64($0)), action($0)) }
        for timer in timers.dropFirst(50) { #expect(heap.remove(timer) != nil) }
        #expect(heap.count == 50)
        for timer in timers.dropFirst(50) { #expect(heap.remove(timer) == nil) }
        // Slots are given away again; old names must not reach the new timers.
        let later = (0..<50).map { heap.insert(at: at(1000), action(1000 + $0)) }
        for timer in timers.dropFirst(50) { #expect(heap.remove(timer) == nil) }
        #expect(heap.count == 100)
        #expect(Set(later).isDisjoint(with: timers))
        while heap.popDue(at: .distantFuture) != nil {}
        for timer in timers + later { #expect(heap.remove(timer) == nil) }
    }

    @Test("deadlines at the ends of time are ordered")
    func extremes() {
        var heap = TimerHeap()
        for (index, deadline) in [Int64.max, .min, 0, -1, .max - 1, .min + 1].enumerated() {
            _ = heap.insert(at: at(deadline), action(index))
        }
        #expect(heap.next == .distantPast)
        var order: [Int] = []
        while let next = number(heap.popDue(at: .distantFuture)) { order.append(next) }
        #expect(order == [1, 5, 3, 2, 4, 0])
    }

    /// The plain way to do it: a list, searched from end to end.
    private struct Model {
        var entries: [(deadline: Int64, number: Int)] = []

        mutating func popDue(at now: Int64) -> Int? {
            guard let deadline = entries.map(\.deadline).min(), deadline <= now else { return nil }
            let index = entries.indices.filter { entries[$0].deadline == deadline }.min {
                entries[$0].number < entries[$1].number
            }
            return index.map { entries.remove(at: $0).number }
        }
    }

    @Test("a million random steps agree with a list that is searched")
    func model() {
        var random = Randomness()
        var heap = TimerHeap()
        var model = Model()
        var names: [(TimerID, Int)] = []
        var now: Int64 = 0
        for step in 0..<1_000_000 {
            // The list stays short, since it is searched; the heap sees every shape up to a few hundred.
            let wish = Int.random(in: 0..<100, using: &random)
            let wanted = model.entries.count < 24 ? 55 : 30
            if wish < wanted {
                let deadline = now + Int64.random(in: -5...60, using: &random)
                names.append((heap.insert(at: at(deadline), action(step)), step))
                model.entries.append((deadline, step))
            } else if wish < 75, !names.isEmpty {
                let (name, wanted) = names.remove(at: Int.random(in: 0..<names.count, using: &random))
                let index = model.entries.firstIndex { $0.number == wanted }
                if let index { model.entries.remove(at: index) }
                guard number(heap.remove(name)) == index.map({ _ in wanted }) else {
                    Issue.record("cancelling timer \(wanted) at step \(step); \(random.note)")
                    return
                }
            } else {
                now += Int64.random(in: 0...4, using: &random)
                let popped = number(heap.popDue(at: at(now)))
                guard popped == model.popDue(at: now) else {
                    Issue.record("timer \(popped ?? -1) fired at step \(step); \(random.note)")
                    return
                }
            }
            if names.count > 400 { names.removeFirst(200) }
            guard heap.count == model.entries.count else {
                Issue.record("count at step \(step); \(random.note)")
                return
            }
        }
    }

    @Test("a large heap pops in order after random cancellations")
    func large() {
        var random = Randomness()
        var heap = TimerHeap()
        var live: [(deadline: Int64, number: Int)] = []
        let names = (0..<100_000).map { number -> TimerID in
            let deadline = Int64.random(in: 0..<50_000, using: &random)
            live.append((deadline, number))
            return heap.insert(at: at(deadline), action(number))
        }
        var isGone = [Bool](repeating: false, count: names.count)
        for number in names.indices where Bool.random(using: &random) {
            heap.remove(names[number])
            isGone[number] = true
        }
        let expected = live.filter { !isGone[$0.number] }.sorted { $0 < $1 }.map(\.number)
        var order: [Int] = []
        while let next = number(heap.popDue(at: .distantFuture)) { order.append(next) }
        #expect(order == expected, "\(random.note)")
    }
}

extension TimerAction: Equatable {
    static func == (left: TimerAction, right: TimerAction) -> Bool {
        switch (left, right) {
        case (.makeReady(let one), .makeReady(let other)): one.bits == other.bits
        case (.complete(let one), .complete(let other)): one == other
        case (.nothing, .nothing): true
        default: false
        }
    }
}
