import AsyncIOTestSupport
import Testing

@testable import AsyncIO

/// Who is inside and who waits, as two lists.
private struct ReadWriteModel {
    typealias Visit = (number: Int, writes: Bool)
    var inside: [Visit] = []
    var line: [Visit] = []

    func admits(_ writes: Bool) -> Bool {
        writes ? inside.isEmpty : inside.allSatisfy { !$0.writes }
    }

    /// Who can go in now, in order.
    mutating func goOn() -> [Int] {
        var numbers: [Int] = []
        while let first = line.first, admits(first.writes) {
            inside.append(line.removeFirst())
            numbers.append(first.number)
        }
        return numbers
    }
}

@Suite("AsyncReadWriteLock and AsyncOnce against models", .timeLimit(.minutes(10)))
struct ReadWriteModelTests {
    @Test("a read-write lock: who writes is alone, and nobody overtakes", arguments: Randomness.seeds)
    func readWrite(seed: UInt64) async throws {
        try await ModelStand.run(seed: seed) { stand in
            var machine = ReadWriteMachine()
            var model = ReadWriteModel()
            for _ in 0..<Stress.modelStepsPerSeed where !stand.hasFailed {
                var woken = WakeList()
                let writes = stand.random(0..<3) == 0
                switch stand.random(0..<20) {
                case 0..<8 where model.line.count < 20: Self.ask(stand, &machine, &model, writes)
                case 8:
                    let canBe = model.line.isEmpty && model.admits(writes)
                    stand.expect(
                        machine.take(writes ? .write : .read, for: nil) == canBe, "tried, and had it: \(!canBe)")
                    if canBe { model.inside.append((stand.number(), writes)) }
                case 0..<15:
                    guard let index = stand.oneOf(model.inside.indices) else { break }
                    let visit = model.inside.remove(at: index)
                    stand.expected = model.goOn().map { ($0, .granted) }
                    machine.giveBack(visit.writes ? .write : .read, waking: &woken)
                case 15:
                    guard let visit = model.inside.first, visit.writes else { break }
                    model.inside = [(visit.number, false)]
                    stand.expected = model.goOn().map { ($0, .granted) }
                    machine.downgrade(waking: &woken)
                default:
                    guard let number = stand.oneOf(model.line.map(\.number)) else { break }
                    model.line.removeAll { $0.number == number }
                    stand.expected = model.goOn().map { ($0, .granted) } + [(number, .cancelled)]
                    stand.cancel(number, at: &machine, waking: &woken)
                }
                stand.settle(woken)
                let writers = model.inside.count { $0.writes }
                stand.expect(machine.readers == model.inside.count - writers, "\(machine.readers) read")
                stand.expect(machine.isWritten == (writers == 1), "written, or not")
                stand.expect(machine.waiters.count == model.line.count, "\(machine.waiters.count) wait")
            }
        }
    }

    private static func ask(
        _ stand: ModelStand, _ machine: inout ReadWriteMachine, _ model: inout ReadWriteModel, _ writes: Bool
    ) {
        let access: ReadWriteMachine.Access = writes ? .write : .read
        let (number, visitor) = stand.visitor(note: access.rawValue)
        let arrival = machine.take(access, visitor)
        let isAdmitted = model.line.isEmpty && model.admits(writes)
        stand.arrived(number, arrival, expecting: isAdmitted ? .granted : nil)
        if isAdmitted { model.inside.append((number, writes)) } else { model.line.append((number, writes)) }
    }

    @Test(
        "a value: one makes it at a time, a failure is handed to the next, and all hear of the end",
        arguments: Randomness.seeds)
    func once(seed: UInt64) async throws {
        try await ModelStand.run(seed: seed) { stand in
            var steps = Stress.modelStepsPerSeed
            while steps > 0 && !stand.hasFailed {
                let length = min(steps, stand.random(1..<60))
                steps -= length
                Self.liveOnce(stand, steps: length)
            }
        }
    }

    private static func liveOnce(_ stand: ModelStand, steps: Int) {
        var machine = OnceMachine()
        // The first makes the value; the others wait.
        var (line, isMade) = ([Int](), false)
        for step in 0..<steps where !stand.hasFailed {
            var woken = WakeList()
            let isLast = step == steps - 1
            switch isLast ? 18 : stand.random(0..<20) {
            case 0..<10:
                let (number, visitor) = stand.visitor()
                stand.arrived(number, machine.ask(visitor), expecting: isMade || line.isEmpty ? .granted : nil)
                let makes = visitor.note == OnceMachine.Answer.make.rawValue
                stand.expect(isMade != (makes && line.isEmpty) || !line.isEmpty, "made twice, or by nobody")
                if !isMade { line.append(number) }
            case 10..<14:
                guard !isMade, let next = line.dropFirst().first else {
                    if !line.isEmpty && !isMade {
                        line = []
                        machine.giveUp(waking: &woken)
                    }
                    break
                }
                let visitor = stand.visitors[next]
                line.removeFirst()
                stand.expected = [(next, .granted)]
                machine.giveUp(waking: &woken)
                stand.expect(visitor?.note == OnceMachine.Answer.make.rawValue, "the next one does not make it")
            case 14..<18:
                guard let number = stand.oneOf(line.dropFirst()) else { break }
                line.removeAll { $0 == number }
                stand.expected = [(number, .cancelled)]
                stand.cancel(number, at: &machine, waking: &woken)
            default:
                guard !line.isEmpty, isLast || stand.random(0..<5) == 0 else { break }
                let waiting = line.dropFirst().compactMap { stand.visitors[$0] }
                stand.expected = line.dropFirst().map { ($0, .granted) }
                (line, isMade) = ([], true)
                machine.finish(waking: &woken)
                stand.expect(
                    waiting.allSatisfy { $0.note == OnceMachine.Answer.use.rawValue }, "somebody makes it again")
            }
            stand.settle(woken)
            stand.expect((machine.phase == .made) == isMade, "made, or not")
            stand.expect(machine.waiters.count == max(0, line.count - 1), "\(machine.waiters.count) wait")
        }
    }
}
