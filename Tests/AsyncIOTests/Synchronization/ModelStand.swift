import AsyncIOTestSupport
import Testing

@testable import AsyncIO

/// Where a machine is held against a model: numbers for visitors, and what the machine has answered.
///
/// Runs on a plain thread: visitors of no task.
final class ModelStand {
    private final class Place: ParkingPlace {
        func leave(_ waiter: ParkedTask) {}
    }

    /// What a model says that has become of a visitor.
    enum Answer: Equatable { case granted, ended, cancelled }

    private let place = Place()
    private(set) var visitors: [Int: ParkedTask] = [:]
    private var numbers: [ObjectIdentifier: Int] = [:]
    private var last = 0
    private var generator: Randomness
    private let note: String
    private(set) var hasFailed = false
    /// What the model expects of this step: who is woken, in order, and why.
    var expected: [(number: Int, answer: Answer)] = []

    init(seed: UInt64) {
        generator = Randomness(seed: seed)
        note = generator.note
    }

    func random(_ range: Range<Int>) -> Int { Int.random(in: range, using: &generator) }

    func oneOf(_ numbers: some Collection<Int>) -> Int? { numbers.randomElement(using: &generator) }

    /// A number for something that has no visitor.
    func number() -> Int {
        last += 1
        return last
    }

    /// A new visitor.
    func visitor(note: Int = 0) -> (number: Int, visitor: ParkedTask) {
        let visitor = ParkedTask(at: place)
        visitor.note = note
        let number = number()
        visitors[number] = visitor
        numbers[ObjectIdentifier(visitor)] = number
        return (number, visitor)
    }

    /// What a visitor does that was cancelled: as ``Parking`` does it.
    func cancel<Machine: WaitMachine & ~Copyable>(
        _ number: Int, at machine: inout Machine, waking woken: inout WakeList
    ) {
        guard let visitor = visitors[number], visitor.phase == .queued else { return }
        machine.leave(visitor, waking: &woken)
        visitor.cancel()
        woken.append(visitor)
    }

    /// The visitor was answered at once, as the model says, or was parked (nil).
    func arrived(_ number: Int, _ arrival: Arrival, expecting answer: Answer?) {
        expect(arrival == (answer == nil ? .parked : .answered), "visitor \(number): \(arrival)")
        guard let answer else { return }
        expect(isAnswered(visitors[number], answer), "visitor \(number) was not \(answer)")
        forget(number)
    }

    /// Holds who was woken in this step against what the model expects.
    func settle(_ woken: consuming WakeList) {
        var rest = expected[...]
        while let visitor = woken.popFirst() {
            let number = numbers[ObjectIdentifier(visitor)] ?? -1
            guard let wanted = rest.popFirst() else {
                return expect(false, "\(number) was woken, and nobody should be")
            }
            expect(wanted.number == number, "\(number) was woken instead of \(wanted.number)")
            expect(isAnswered(visitor, wanted.answer), "\(number) was not \(wanted.answer)")
            forget(number)
        }
        expect(rest.isEmpty, "not woken: \(rest)")
        expected = []
    }

    func expect(_ condition: Bool, _ message: @autoclosure () -> String) {
        guard !condition, !hasFailed else { return }
        hasFailed = true
        Issue.record("\(message()); \(note)")
    }

    private func forget(_ number: Int) {
        guard let visitor = visitors.removeValue(forKey: number) else { return }
        numbers[ObjectIdentifier(visitor)] = nil
    }

    private func isAnswered(_ visitor: ParkedTask?, _ answer: Answer) -> Bool {
        switch (visitor?.phase, answer) {
        case (.granted, .granted), (.ended, .ended), (.cancelled, .cancelled): true
        default: false
        }
    }

    /// Runs the steps on a plain thread.
    static func run(seed: UInt64, _ name: String = #function, _ body: @escaping @Sendable (ModelStand) -> Void)
        async throws
    {
        try await Watchdog.onThread(name) { body(ModelStand(seed: seed)) }
    }
}
