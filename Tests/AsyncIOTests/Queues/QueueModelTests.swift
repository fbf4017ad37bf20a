import AsyncIOTestSupport
import Testing

@testable import AsyncIO

/// The machine and the store of a queue, moving items as ``AsyncQueue`` does under its lock.
@safe
private final class MachineAndStore {
    var machine: QueueMachine
    var store: ItemStore<Int>
    let visitors = Visitors()

    init(capacity: Int, kind: QueueKind) {
        machine = QueueMachine(capacity: capacity)
        store = ItemStore(kind) { $0 / 1000 < $1 / 1000 }
    }

    private func visitor(_ wish: QueueMachine.Wish, _ item: Int = -1) -> (Int, ParkedTask) {
        let (number, task) = visitors.arrive(note: wish.rawValue)
        unsafe task.slot(for: Int.self).initialize(to: item)
        return (number, task)
    }

    /// What lies in a visitor's slot; the visit is over then.
    func collect(_ number: Int) -> Int {
        guard let task = visitors.tasks[number] else { return -1 }
        visitors.depart(number)
        return unsafe task.slot(for: Int.self).pointee
    }

    func put(_ item: Int, mayWait: Bool) -> (number: Int, fate: Visitors.Fate?) {
        let (number, task) = visitor(.put, item)
        visitors.visit(&machine) { machine, woken in
            switch machine.put(waking: &woken) {
            case .intoStore:
                store.add(item)
                task.grant()
            case .into(let getter):
                unsafe getter.slot(for: Int.self).initialize(to: item)
                task.grant()
            case .closed: task.end()
            case .full: if mayWait { machine.wait(toPut: task) }
            }
        }
        return (number, visitors.fate(number))
    }

    func get(mayWait: Bool) -> (number: Int, fate: Visitors.Fate?) {
        let (number, task) = visitor(.get)
        visitors.visit(&machine) { machine, woken in
            switch machine.get() {
            case .fromStore:
                unsafe store.take(into: task.slot(for: Int.self))
                task.grant()
                while let putter = machine.admit(waking: &woken) {
                    unsafe store.add(from: putter.slot(for: Int.self))
                }
            case .closed: task.end()
            case .empty: if mayWait { machine.wait(toGet: task) }
            }
        }
        return (number, visitors.fate(number))
    }
}

/// A queue as one would explain it: everybody lines up, and whatever can happen happens, oldest first.
private struct NaiveQueue {
    let capacity: Int
    let kind: QueueKind
    var inside: [Int] = []
    var lineToPut: [(number: Int, item: Int)] = []
    var lineToGet: [Int] = []
    var isClosed = false
    /// What becomes of each visitor, and what it gets.
    var fates: [Int: (fate: Visitors.Fate, item: Int)] = [:]

    mutating func settle() {
        while true {
            if let getter = lineToGet.first, let item = takeNext() {
                lineToGet.removeFirst()
                fates[getter] = (.granted, item)
            } else if let putter = lineToPut.first, inside.count < capacity, !isClosed {
                lineToPut.removeFirst()
                inside.append(putter.item)
                fates[putter.number] = (.granted, putter.item)
            } else {
                break
            }
        }
        guard isClosed else { return }
        for putter in lineToPut { fates[putter.number] = (.ended, putter.item) }
        for getter in lineToGet { fates[getter] = (.ended, -1) }
        lineToPut = []
        lineToGet = []
    }

    private mutating func takeNext() -> Int? {
        guard !inside.isEmpty else { return nil }
        switch kind {
        case .fifo: return inside.removeFirst()
        case .lifo: return inside.removeLast()
        case .priority:
            var best = 0
            for index in inside.indices where inside[index] / 1000 < inside[best] / 1000 { best = index }
            return inside.remove(at: best)
        }
    }
}

@Suite("A queue's machine against a naive queue")
struct QueueModelTests {
    @Test(
        "random visits, cancelled at any point, come out the same",
        arguments: [QueueKind.fifo, .lifo, .priority])
    func random(kind: QueueKind) async throws {
        var random = Randomness()
        let note = random.note
        var steps = 0
        while steps < Stress.modelSteps {
            let failure = Self.life(of: kind, steps: &steps, &random)
            #expect(failure == nil, "\(note)")
            if failure != nil { return }
        }
    }

    /// One queue from its making to its end. What went wrong, if anything did.
    private static func life(
        of kind: QueueKind, steps: inout Int, _ random: inout Randomness
    ) -> String? {
        let capacity = Int.random(in: 1...4, using: &random)
        let real = MachineAndStore(capacity: capacity, kind: kind)
        var model = NaiveQueue(capacity: capacity, kind: kind)
        /// Visits that are not over: their tasks have not run since.
        var open: [Int] = []
        var item = 0
        var received: [Int] = []
        var accepted: [Int] = []
        for _ in 0..<Int.random(in: 1...2000, using: &random) {
            steps += 1
            let isCrowded = model.lineToPut.count + model.lineToGet.count > 6
            switch Int.random(in: 0..<100, using: &random) {
            case 0..<30 where !isCrowded || !model.lineToGet.isEmpty:
                item += 1
                let value = Int.random(in: 0..<4, using: &random) * 1000 + item % 1000
                let mayWait = Bool.random(using: &random)
                // Whoever may not wait is served only if nobody stands in front.
                let (number, fate) = real.put(value, mayWait: mayWait)
                model.lineToPut.append((number, value))
                model.settle()
                if !mayWait, model.fates[number] == nil {
                    model.lineToPut.removeLast()
                    if fate != nil { return "a put that may not wait was \(fate.debugDescription)" }
                    _ = real.collect(number)
                    continue
                }
                open.append(number)
            case 30..<60 where !isCrowded || !model.lineToPut.isEmpty:
                let mayWait = Bool.random(using: &random)
                let (number, fate) = real.get(mayWait: mayWait)
                model.lineToGet.append(number)
                model.settle()
                if !mayWait, model.fates[number] == nil {
                    model.lineToGet.removeLast()
                    if fate != nil { return "a get that may not wait was \(fate.debugDescription)" }
                    _ = real.collect(number)
                    continue
                }
                open.append(number)
            case 60..<75:
                // Whoever it is: waiting, granted and not yet run, ended.
                guard let number = open.randomElement(using: &random) else { continue }
                real.visitors.cancel(number, in: &real.machine)
                if model.fates[number] == nil {
                    let item = model.lineToPut.first { $0.number == number }?.item ?? -1
                    model.lineToPut.removeAll { $0.number == number }
                    model.lineToGet.removeAll { $0 == number }
                    model.fates[number] = (.cancelled, item)
                    model.settle()
                }
            case 75..<99:
                guard let index = open.indices.randomElement(using: &random) else { continue }
                let number = open[index]
                guard let expected = model.fates[number] else { continue }
                open.swapAt(index, open.count - 1)
                open.removeLast()
                guard real.visitors.fate(number) == expected.fate else { return "\(number) should be \(expected)" }
                let isPut = real.visitors.tasks[number]?.note == QueueMachine.Wish.put.rawValue
                let got = real.collect(number)
                if expected.fate == .granted {
                    if !isPut && got != expected.item { return "\(number) got \(got) instead of \(expected.item)" }
                    if isPut { accepted.append(expected.item) } else { received.append(got) }
                }
                model.fates[number] = nil
            default:
                guard Int.random(in: 0..<20, using: &random) == 0 else { continue }
                real.visitors.visit(&real.machine) { $0.finish(waking: &$1) }
                model.isClosed = true
                model.settle()
            }
            guard real.machine.count == model.inside.count, real.store.count == model.inside.count,
                real.machine.putters.count == model.lineToPut.count,
                real.machine.getters.count == model.lineToGet.count
            else { return "the counts differ" }
        }
        return account(for: open, of: real, model, accepted, received)
    }

    /// At the end every item that was accepted has been received, or is inside, once.
    private static func account(
        for open: [Int], of real: MachineAndStore, _ model: NaiveQueue, _ accepted: [Int], _ received: [Int]
    ) -> String? {
        var (accepted, received) = (accepted, received)
        for number in open {
            guard real.visitors.fate(number) == (model.fates[number]?.fate ?? .waits) else {
                return "\(number) at the end"
            }
            guard let fate = model.fates[number], fate.fate == .granted else { continue }
            let isPut = real.visitors.tasks[number]?.note == QueueMachine.Wish.put.rawValue
            let got = real.collect(number)
            if isPut { accepted.append(fate.item) } else { received.append(got) }
        }
        while case (let number, .granted) = real.get(mayWait: false) { received.append(real.collect(number)) }
        // Those who waited to put were admitted as room appeared.
        accepted += model.lineToPut.map(\.item)
        return accepted.sorted() == received.sorted() ? nil : "items were lost or doubled"
    }
}
