import AsyncIOTestSupport
import Testing

@testable import AsyncIO

@Suite("AsyncLock, AsyncEvent, AsyncCondition and AsyncBarrier against models", .timeLimit(.minutes(10)))
struct LockModelTests {
    @Test("a lock: random asking, giving back and cancelling, and one has it at a time", arguments: Randomness.seeds)
    func lock(seed: UInt64) async throws {
        try await ModelStand.run(seed: seed) { stand in
            var machine = LockMachine()
            // The first has it; the others wait.
            var line: [Int] = []
            for _ in 0..<Stress.modelStepsPerSeed where !stand.hasFailed {
                var woken = WakeList()
                switch stand.random(0..<10) {
                case 0..<4 where line.count < 20:
                    let (number, visitor) = stand.visitor()
                    let arrival = machine.take(visitor)
                    stand.arrived(number, arrival, expecting: line.isEmpty ? .granted : nil)
                    line.append(number)
                case 4:
                    let isDone = machine.take(for: nil) == .done
                    stand.expect(isDone == line.isEmpty, "taken twice, or not when free")
                    if isDone { line.append(stand.number()) }
                case 0..<8:
                    guard !line.isEmpty else { break }
                    line.removeFirst()
                    stand.expected = line.prefix(1).map { ($0, .granted) }
                    machine.giveBack(waking: &woken)
                default:
                    guard let number = stand.oneOf(line.dropFirst()) else { break }
                    line.removeAll { $0 == number }
                    stand.expected = [(number, .cancelled)]
                    stand.cancel(number, at: &machine, waking: &woken)
                }
                stand.settle(woken)
                stand.expect(machine.isTaken == !line.isEmpty, "taken, or not: \(line)")
                stand.expect(machine.waiters.count == max(0, line.count - 1), "\(machine.waiters.count) wait")
            }
        }
    }

    @Test(
        "an event: random setting, clearing, waiting and cancelling, and no wake-up is lost",
        arguments: Randomness.seeds)
    func event(seed: UInt64) async throws {
        try await ModelStand.run(seed: seed) { stand in
            var machine = EventMachine()
            var (isSet, waiting) = (false, [Int]())
            for _ in 0..<Stress.modelStepsPerSeed where !stand.hasFailed {
                var woken = WakeList()
                switch stand.random(0..<10) {
                case 0..<6:
                    let (number, visitor) = stand.visitor()
                    stand.arrived(number, machine.wait(visitor), expecting: isSet ? .granted : nil)
                    if !isSet { waiting.append(number) }
                case 6:
                    stand.expected = waiting.map { ($0, .granted) }
                    (isSet, waiting) = (true, [])
                    machine.set(waking: &woken)
                case 7:
                    isSet = false
                    machine.clear()
                default:
                    guard let number = stand.oneOf(waiting) else { break }
                    waiting.removeAll { $0 == number }
                    stand.expected = [(number, .cancelled)]
                    stand.cancel(number, at: &machine, waking: &woken)
                }
                stand.settle(woken)
                stand.expect(machine.isSet == isSet, "set, or not")
                stand.expect(machine.waiters.count == waiting.count, "\(machine.waiters.count) wait")
            }
        }
    }

    @Test("a condition: every notification wakes somebody, as long as somebody waits", arguments: Randomness.seeds)
    func condition(seed: UInt64) async throws {
        try await ModelStand.run(seed: seed) { stand in
            var machine = ConditionMachine()
            var waiting: [Int] = []
            for _ in 0..<Stress.modelStepsPerSeed where !stand.hasFailed {
                var woken = WakeList()
                switch stand.random(0..<10) {
                case 0..<5 where waiting.count < 20:
                    let (number, visitor) = stand.visitor()
                    machine.wait(visitor)
                    waiting.append(number)
                case 0..<8:
                    let count = stand.random(0..<20) == 0 ? .max : stand.random(0..<4)
                    stand.expected = waiting.prefix(count).map { ($0, .granted) }
                    waiting = Array(waiting.dropFirst(count))
                    machine.notify(count, waking: &woken)
                default:
                    guard let number = stand.oneOf(waiting) else { break }
                    waiting.removeAll { $0 == number }
                    stand.expected = [(number, .cancelled)]
                    stand.cancel(number, at: &machine, waking: &woken)
                }
                stand.settle(woken)
                stand.expect(machine.waiters.count == waiting.count, "\(machine.waiters.count) wait")
            }
        }
    }

    @Test("a barrier: rounds are full, and every place is given once", arguments: Randomness.seeds)
    func barrier(seed: UInt64) async throws {
        try await ModelStand.run(seed: seed) { stand in
            var steps = Stress.modelStepsPerSeed
            while steps > 0 && !stand.hasFailed {
                let length = min(steps, 5_000)
                steps -= length
                Self.live(stand, BarrierMachine(parties: stand.random(1..<6)), steps: length)
            }
        }
    }

    private static func live(_ stand: ModelStand, _ barrier: consuming BarrierMachine, steps: Int) {
        var machine = barrier
        var (waiting, isBroken, places) = ([Int](), false, [ParkedTask]())
        for _ in 0..<steps where !stand.hasFailed {
            var woken = WakeList()
            switch stand.random(0..<20) {
            case 0..<14:
                let (number, visitor) = stand.visitor()
                let isLast = waiting.count == machine.parties - 1
                if isLast && !isBroken {
                    places = waiting.compactMap { stand.visitors[$0] } + [visitor]
                    stand.expected = waiting.map { ($0, .granted) }
                }
                let arrival = machine.arrive(visitor, waking: &woken)
                stand.arrived(number, arrival, expecting: isBroken ? .ended : isLast ? .granted : nil)
                if isBroken { break }
                if isLast { waiting = [] } else { waiting.append(number) }
            case 14..<18:
                guard let number = stand.oneOf(waiting) else { break }
                waiting.removeAll { $0 == number }
                stand.expected = [(number, .cancelled)]
                stand.cancel(number, at: &machine, waking: &woken)
            case 18:
                stand.expected = waiting.map { ($0, .ended) }
                (waiting, isBroken) = ([], false)
                machine.reset(waking: &woken)
            default:
                guard stand.random(0..<5) == 0 else { break }
                stand.expected = waiting.map { ($0, .ended) }
                (waiting, isBroken) = ([], true)
                machine.abort(waking: &woken)
            }
            stand.settle(woken)
            stand.expect(places.map(\.note) == Array(places.indices), "places \(places.map(\.note))")
            places = []
            stand.expect(machine.waiters.count == waiting.count, "\(machine.waiters.count) wait")
            stand.expect(machine.isBroken == isBroken, "broken, or not")
        }
        var woken = WakeList()
        stand.expected = waiting.map { ($0, .ended) }
        machine.abort(waking: &woken)
        stand.settle(woken)
    }
}
