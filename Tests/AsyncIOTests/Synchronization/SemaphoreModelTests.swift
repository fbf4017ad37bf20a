import AsyncIOTestSupport
import Testing

@testable import AsyncIO

/// Who has how many permits, and who wants how many: everything else follows.
private struct SemaphoreModel {
    var total: Int
    var limit: Int?
    var isClosed = false
    var held: [Int: Int] = [:]
    var queue: [(number: Int, count: Int)] = []

    var available: Int { total - held.values.reduce(0, +) }

    enum Answer { case granted, ended, waits }

    mutating func ask(_ number: Int, _ count: Int) -> Answer {
        if isClosed { return .ended }
        if queue.isEmpty && count <= available {
            held[number] = count
            return .granted
        }
        if count > max(total, limit ?? 0) { return .ended }
        queue.append((number, count))
        return .waits
    }

    /// Who can go on now, in order.
    mutating func goOn() -> [Int] {
        var numbers: [Int] = []
        while !queue.isEmpty && queue[0].count <= available {
            let next = queue.removeFirst()
            held[next.number] = next.count
            numbers.append(next.number)
        }
        return numbers
    }
}

@Suite("AsyncSemaphore against a model", .timeLimit(.minutes(10)))
struct SemaphoreModelTests {
    @Test("random requests, returns and cancellations: every permit is in one place", arguments: Randomness.seeds)
    func random(seed: UInt64) async throws {
        try await ModelStand.run(seed: seed) { stand in
            var steps = Stress.modelStepsPerSeed
            while steps > 0 && !stand.hasFailed {
                let permits = stand.random(0..<6)
                let limit = stand.random(0..<3) == 0 ? permits + stand.random(0..<4) : nil
                let length = min(steps, stand.random(1..<2_000))
                Self.live(stand, permits, limit, steps: length)
                steps -= length
            }
        }
    }

    /// One semaphore's life.
    private static func live(_ stand: ModelStand, _ permits: Int, _ limit: Int?, steps: Int) {
        var machine = SemaphoreMachine(permits: permits, limit: limit)
        var model = SemaphoreModel(total: permits, limit: limit)
        for step in 0..<steps where !stand.hasFailed {
            var woken = WakeList()
            switch stand.random(0..<100) {
            case 0..<30 where model.queue.count < 20: ask(stand, &machine, &model)
            case 0..<40 where model.queue.count < 20: tryToAsk(stand, &machine, &model)
            case 0..<75:
                guard let number = stand.oneOf(model.held.keys), let count = model.held.removeValue(forKey: number)
                else { break }
                stand.expected = model.goOn().map { ($0, .granted) }
                machine.giveBack(count, waking: &woken)
            case 75..<97:
                guard let number = stand.oneOf(model.queue.map(\.number)) else { break }
                model.queue.removeAll { $0.number == number }
                stand.expected = model.goOn().map { ($0, .granted) } + [(number, .cancelled)]
                stand.cancel(number, at: &machine, waking: &woken)
            case 97..<99: add(stand, &machine, &model, &woken)
            default:
                guard step > steps - 10 else { break }
                model.isClosed = true
                stand.expected = model.queue.map { ($0.number, .ended) }
                model.queue = []
                machine.close(waking: &woken)
            }
            stand.settle(woken)
            stand.expect(machine.available == model.available, "\(machine.available) permits, not \(model.available)")
            stand.expect(machine.waiters.count == model.queue.count, "\(machine.waiters.count) wait")
            stand.expect(machine.available >= 0 && machine.total == model.total, "\(machine.total) in all")
        }
        end(stand, &machine, &model)
    }

    /// Everybody leaves or gives back: all permits are there.
    private static func end(_ stand: ModelStand, _ machine: inout SemaphoreMachine, _ model: inout SemaphoreModel) {
        while !model.queue.isEmpty || !model.held.isEmpty, !stand.hasFailed {
            var woken = WakeList()
            if let (number, count) = model.held.first {
                model.held[number] = nil
                stand.expected = model.goOn().map { ($0, .granted) }
                machine.giveBack(count, waking: &woken)
            } else {
                let number = model.queue.removeFirst().number
                stand.expected = model.goOn().map { ($0, .granted) } + [(number, .cancelled)]
                stand.cancel(number, at: &machine, waking: &woken)
            }
            stand.settle(woken)
        }
        stand.expect(machine.available == machine.total && machine.waiters.isEmpty, "not all came back")
        stand.expect(stand.hasFailed || stand.visitors.isEmpty, "somebody was forgotten")
    }

    private static func ask(_ stand: ModelStand, _ machine: inout SemaphoreMachine, _ model: inout SemaphoreModel) {
        let count = stand.random(0..<5)
        let (number, visitor) = stand.visitor(note: count)
        let arrival = machine.take(visitor)
        switch model.ask(number, count) {
        case .granted: stand.arrived(number, arrival, expecting: .granted)
        case .ended: stand.arrived(number, arrival, expecting: .ended)
        case .waits: stand.arrived(number, arrival, expecting: nil)
        }
    }

    private static func tryToAsk(_ stand: ModelStand, _ machine: inout SemaphoreMachine, _ model: inout SemaphoreModel)
    {
        let (number, count) = (stand.number(), stand.random(0..<5))
        let isDone = machine.take(count) == .done
        let canBe = !model.isClosed && model.queue.isEmpty && count <= model.available
        stand.expect(isDone == canBe, "trying \(count): \(isDone)")
        if canBe { model.held[number] = count }
    }

    private static func add(
        _ stand: ModelStand, _ machine: inout SemaphoreMachine, _ model: inout SemaphoreModel,
        _ woken: inout WakeList
    ) {
        let count = stand.random(0..<30) == 0 ? Int.max : stand.random(0..<2)
        let mayBe =
            count < 3 && model.total + count <= model.limit ?? .max
            || count == .max && model.total == 0 && model.limit == nil
        guard count != .max || !mayBe else { return }
        if mayBe {
            model.total += count
            stand.expected = model.goOn().map { ($0, .granted) }
        }
        stand.expect(machine.add(count, waking: &woken) == mayBe, "adding \(count) to \(model.total)")
    }
}
