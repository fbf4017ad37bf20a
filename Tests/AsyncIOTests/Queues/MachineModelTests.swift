import AsyncIOTestSupport
import Testing

@testable import AsyncIO

@Suite("The machines of promise, broadcast and watch against naive ones")
struct MachineModelTests {
    @Test("promises: random waits, cancellations and answers")
    func promises() async throws {
        var random = Randomness()
        let note = random.note
        var steps = 0
        while steps < Stress.modelSteps {
            let visitors = Visitors()
            var machine = PromiseMachine()
            var waiting: Set<Int> = []
            var fates: [Int: Visitors.Fate] = [:]
            var isSettled = false
            for _ in 0..<Int.random(in: 1...40, using: &random) {
                steps += 1
                switch Int.random(in: 0..<20, using: &random) {
                case 0..<10:
                    let (number, task) = visitors.arrive()
                    let isAnswered = machine.wait(task) == .answered
                    #expect(isAnswered == isSettled, "\(note)")
                    if isSettled { fates[number] = .granted } else { waiting.insert(number) }
                case 10..<17:
                    guard let number = visitors.tasks.keys.sorted().randomElement(using: &random) else { continue }
                    visitors.cancel(number, in: &machine)
                    if waiting.remove(number) != nil { fates[number] = .cancelled }
                default:
                    let outlook: PromiseMachine.Outlook = Bool.random(using: &random) ? .fulfilled : .failed
                    let isFirst = visitors.visit(&machine) { $0.settle(outlook, waking: &$1) }
                    #expect(isFirst == !isSettled, "\(note)")
                    isSettled = true
                    for number in waiting { fates[number] = .granted }
                    waiting = []
                }
                #expect(machine.waiters.count == waiting.count, "\(note)")
            }
            let isSame = visitors.tasks.keys.allSatisfy { visitors.fate($0) == fates[$0] ?? .waits }
            #expect(isSame, "\(note)")
            guard isSame else { return }
        }
    }

    @Test("watches: random changes, waits, cancellations and ends")
    func watches() async throws {
        var random = Randomness()
        let note = random.note
        var steps = 0
        while steps < Stress.modelSteps {
            let visitors = Visitors()
            var machine = WatchMachine()
            var history = [0]
            var waiting: Set<Int> = []
            var fates: [Int: Visitors.Fate] = [:]
            var isFinished = false
            for _ in 0..<Int.random(in: 1...60, using: &random) {
                steps += 1
                switch Int.random(in: 0..<40, using: &random) {
                case 0..<14:
                    let since = max(0, history.count - Int.random(in: 1...3, using: &random))
                    let (number, task) = visitors.arrive()
                    _ = machine.wait(task, since: UInt64(since))
                    // There is news for whoever has not seen the last entry.
                    if isFinished || since < history.count - 1 {
                        fates[number] = .granted
                    } else {
                        waiting.insert(number)
                    }
                case 14..<24:
                    guard let number = visitors.tasks.keys.sorted().randomElement(using: &random) else { continue }
                    visitors.cancel(number, in: &machine)
                    if waiting.remove(number) != nil { fates[number] = .cancelled }
                case 24..<39:
                    let isChecked = Bool.random(using: &random)
                    let since = Int.random(in: 0..<history.count, using: &random)
                    let setting = visitors.visit(&machine) {
                        $0.set(ifStill: isChecked ? UInt64(since) : nil, waking: &$1)
                    }
                    if isFinished {
                        #expect(setting == .finished, "\(note)")
                    } else if isChecked && since != history.count - 1 {
                        #expect(setting == .overtaken, "\(note)")
                    } else {
                        #expect(setting == .done, "\(note)")
                        history.append(steps)
                        for number in waiting { fates[number] = .granted }
                        waiting = []
                    }
                default:
                    visitors.visit(&machine) { $0.finish(waking: &$1) }
                    isFinished = true
                    for number in waiting { fates[number] = .granted }
                    waiting = []
                }
                #expect(machine.waiters.count == waiting.count && machine.version == history.count - 1, "\(note)")
            }
            let isSame = visitors.tasks.keys.allSatisfy { visitors.fate($0) == fates[$0] ?? .waits }
            #expect(isSame, "\(note)")
            guard isSame else { return }
        }
    }

    /// A listener as one would explain it: a list of its own, from which the oldest falls out.
    private struct Listener {
        var cursor: UInt64
        var pending: [Int] = []
        var missed: UInt64 = 0
    }

    @Test("broadcasts: random sending, receiving, waits, cancellations, comings and goings")
    func broadcasts() async throws {
        var random = Randomness()
        let note = random.note
        var steps = 0
        while steps < Stress.modelSteps {
            let failure = Self.broadcast(steps: &steps, &random)
            #expect(failure == nil, "\(note)")
            if failure != nil { return }
        }
    }

    private static func broadcast(steps: inout Int, _ random: inout Randomness) -> String? {
        let visitors = Visitors()
        let capacity = Int.random(in: 1...6, using: &random)
        var machine = BroadcastMachine(capacity: capacity)
        var ring: [Int?] = Array(repeating: nil, count: capacity)
        var listeners: [Listener] = []
        var waiting: Set<Int> = []
        var fates: [Int: Visitors.Fate] = [:]
        var isFinished = false
        for item in 0..<Int.random(in: 1...400, using: &random) {
            steps += 1
            switch Int.random(in: 0..<200, using: &random) {
            case 0..<60:
                switch visitors.visit(&machine, { $0.send(waking: &$1) }) {
                case .toNobody: if !isFinished && !listeners.isEmpty { return "sent to nobody" }
                case .into(let place):
                    if ring[place] != nil { return "the place was not empty" }
                    ring[place] = item
                case .over(let place):
                    if ring[place] == nil { return "the place was empty" }
                    ring[place] = item
                }
                guard !isFinished, !listeners.isEmpty else { continue }
                for index in listeners.indices {
                    listeners[index].pending.append(item)
                    guard listeners[index].pending.count > capacity else { continue }
                    listeners[index].pending.removeFirst()
                    listeners[index].missed += 1
                }
                for number in waiting { fates[number] = .granted }
                waiting = []
            case 60..<140:
                guard let index = listeners.indices.randomElement(using: &random) else { continue }
                if let wrong = receive(&listeners[index], from: &machine, &ring, isFinished) { return wrong }
            case 140..<160:
                guard let listener = listeners.randomElement(using: &random) else { continue }
                guard machine.backlog(listener.cursor) == 0, !isFinished else { continue }
                let (number, task) = visitors.arrive()
                machine.wait(task)
                waiting.insert(number)
            case 160..<175:
                guard let number = visitors.tasks.keys.sorted().randomElement(using: &random) else { continue }
                visitors.cancel(number, in: &machine)
                if waiting.remove(number) != nil { fates[number] = .cancelled }
            case 175..<187:
                if listeners.count < 5 { listeners.append(Listener(cursor: machine.subscribe())) }
            case 187..<199:
                guard let index = listeners.indices.randomElement(using: &random) else { continue }
                for place in machine.unsubscribe(listeners.remove(at: index).cursor) {
                    if ring[place] == nil { return "an item was dropped twice" }
                    ring[place] = nil
                }
            default:
                visitors.visit(&machine) { $0.finish(waking: &$1) }
                isFinished = true
                for number in waiting { fates[number] = .granted }
                waiting = []
            }
            let kept = Set(listeners.flatMap(\.pending))
            if Set(ring.compactMap { $0 }) != kept || machine.kept != kept.count { return "the wrong items are kept" }
            if machine.waiters.count != waiting.count || machine.subscribers != listeners.count { return "counts" }
        }
        let isSame = visitors.tasks.keys.allSatisfy { visitors.fate($0) == fates[$0] ?? .waits }
        return isSame ? nil : "the fates differ"
    }

    private static func receive(
        _ listener: inout Listener, from machine: inout BroadcastMachine, _ ring: inout [Int?], _ isFinished: Bool
    ) -> String? {
        let expected = listener.missed > 0 ? nil : listener.pending.first
        switch machine.receive(&listener.cursor) {
        case .copy(let place):
            guard let expected, ring[place] == expected else { return "a wrong item" }
            listener.pending.removeFirst()
        case .move(let place):
            guard let expected, ring[place] == expected else { return "a wrong last item" }
            ring[place] = nil
            listener.pending.removeFirst()
        case .lagged(let missed):
            guard missed == listener.missed else { return "missed \(missed), not \(listener.missed)" }
            listener.missed = 0
        case .empty: if expected != nil || listener.missed > 0 || isFinished { return "empty too early" }
        case .finished: if expected != nil || listener.missed > 0 || !isFinished { return "finished too early" }
        }
        return nil
    }
}
