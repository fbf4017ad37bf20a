#if HTTP
import AsyncIOTesting
import Testing

@testable import AsyncIOHTTP

@Suite("Who gets which connection")
struct PoolMachineTests {
    typealias Machine = PoolMachine<String, Int>

    private func machine(perPlace: Int = 2, limit: Int = 3, idle: Int = 3) -> Machine {
        Machine(limitPerPlace: perPlace, limit: limit, idleLimit: idle)
    }

    private func text(_ answer: Machine.Answer?) -> String {
        switch answer {
        case .reuse(let connection, _): "reuse \(connection)"
        case .open(let closing): closing.map { "open, close \($0)" } ?? "open"
        case .wait: "wait"
        case nil: "closed"
        }
    }

    private func served(_ outcome: Machine.Outcome) -> [String] {
        outcome.served.map { "\($0.ticket): \(text($0.answer))" }
    }

    @Test("one that idles is used again, the last one first")
    func reuse() {
        var machine = machine()
        #expect(text(machine.ask(for: "a", fresh: false)) == "open")
        #expect(text(machine.ask(for: "a", fresh: false)) == "open")
        #expect(machine.putBack(1, to: "a").idleNumber != nil)
        #expect(machine.putBack(2, to: "a").idleNumber != nil)
        #expect(machine.idle == 2)
        #expect(text(machine.ask(for: "b", fresh: false)) == "open")
        #expect(text(machine.ask(for: "a", fresh: false)) == "reuse 2")
        #expect(text(machine.ask(for: "a", fresh: false)) == "reuse 1")
    }

    @Test("whoever comes when all are in use waits, and is served in the order of coming")
    func order() {
        var machine = machine(perPlace: 1)
        #expect(text(machine.ask(for: "a", fresh: false)) == "open")
        guard case .wait(let first)? = machine.ask(for: "a", fresh: false),
            case .wait(let second)? = machine.ask(for: "a", fresh: false)
        else { return #expect(Bool(false), "they wait") }
        #expect(machine.waiting == 2)
        let outcome = machine.putBack(7, to: "a")
        #expect(served(outcome) == ["\(first): reuse 7"] && outcome.idleNumber == nil)
        #expect(served(machine.lose(at: "a")) == ["\(second): open"])
    }

    @Test("who waits for a place at its own limit holds nobody else up")
    func otherPlaces() {
        var machine = machine(perPlace: 1, limit: 2)
        _ = machine.ask(for: "a", fresh: false)
        #expect(text(machine.ask(for: "a", fresh: false)) == "wait")
        #expect(text(machine.ask(for: "b", fresh: false)) == "open")
        #expect(text(machine.ask(for: "c", fresh: false)) == "wait")
        // The first to wait asks for a place at its limit; the slot that gets free is for the other.
        #expect(machine.lose(at: "b").served.count == 1)
    }

    @Test("at the limit in all, what has been idle longest makes room, at once or for who waits")
    func eviction() {
        var machine = machine(perPlace: 2, limit: 2)
        _ = machine.ask(for: "a", fresh: false)
        _ = machine.ask(for: "b", fresh: false)
        _ = machine.putBack(1, to: "a")
        _ = machine.putBack(2, to: "b")
        #expect(text(machine.ask(for: "c", fresh: false)) == "open, close 1")
        #expect(text(machine.ask(for: "c", fresh: false)) == "open, close 2")
        guard case .wait(let ticket)? = machine.ask(for: "d", fresh: false) else {
            return #expect(Bool(false), "it waits")
        }
        let outcome = machine.putBack(3, to: "c")
        #expect(served(outcome) == ["\(ticket): open, close 3"] && outcome.idleNumber == nil)
        #expect(machine.open == 2 && machine.placeCount == 2)
    }

    @Test("who wants a fresh one gets none that idles")
    func fresh() {
        var machine = machine(perPlace: 1)
        _ = machine.ask(for: "a", fresh: false)
        _ = machine.putBack(1, to: "a")
        #expect(text(machine.ask(for: "a", fresh: true)) == "open, close 1")
        #expect(machine.open == 1 && machine.idle == 0)
    }

    @Test("who wants a fresh one gets none that was used, even after waiting for it")
    func freshAfterWaiting() {
        var machine = machine(perPlace: 1)
        _ = machine.ask(for: "a", fresh: false)
        guard case .wait(let fresh)? = machine.ask(for: "a", fresh: true),
            case .wait(let any)? = machine.ask(for: "a", fresh: false)
        else { return #expect(Bool(false), "they wait") }
        let outcome = machine.putBack(7, to: "a")
        #expect(served(outcome) == ["\(fresh): open, close 7"] && outcome.idleNumber == nil)
        #expect(served(machine.putBack(8, to: "a")) == ["\(any): reuse 8"])
        #expect(machine.open == 1 && machine.idle == 0 && machine.waiting == 0)
    }

    @Test("no more idle than there may be; those that were put down first are closed")
    func idleLimit() {
        var machine = machine(perPlace: 3, limit: 3, idle: 1)
        for _ in 0..<3 { _ = machine.ask(for: "a", fresh: false) }
        #expect(machine.putBack(1, to: "a").closed == [])
        #expect(machine.putBack(2, to: "a").closed == [1])
        var none = PoolMachine<String, Int>(limitPerPlace: 1, limit: 1, idleLimit: 0)
        _ = none.ask(for: "a", fresh: false)
        let outcome = none.putBack(1, to: "a")
        #expect(outcome.closed == [1] && outcome.idleNumber == nil && none.open == 0 && none.placeCount == 0)
    }

    @Test("a closed pool closes what idles, sends away who waits, and closes what comes back")
    func closing() {
        var machine = machine(perPlace: 2, limit: 2)
        _ = machine.ask(for: "a", fresh: false)
        _ = machine.ask(for: "a", fresh: false)
        _ = machine.ask(for: "a", fresh: false)
        _ = machine.putBack(1, to: "b")
        let (_, waiting) = machine.close()
        #expect(waiting.count <= 1)
        #expect(text(machine.ask(for: "a", fresh: false)) == "closed")
        #expect(machine.putBack(2, to: "a").closed == [2])
        #expect(machine.close().connections.isEmpty)
    }

    /// Many visitors come, go, give back, lose and leave; the books must agree with a simple account of it.
    @Test("no connection is lost, given twice or opened beyond a limit, whatever happens", arguments: Randomness.seeds)
    func model(seed: UInt64) {
        var random = Randomness(seed: seed)
        var machine = machine(perPlace: 2, limit: 4, idle: 2)
        var inUse: [(place: String, connection: Int)] = []
        var idle: [Int: String] = [:]
        var waiting: [UInt64: String] = [:]
        var next = 0
        func take(_ answer: Machine.Answer, _ place: String) {
            switch answer {
            case .reuse(let connection, _):
                #expect(idle.removeValue(forKey: connection) == place)
                inUse.append((place, connection))
            case .open(let closing):
                if let closing { #expect(idle.removeValue(forKey: closing) != nil) }
                next += 1
                inUse.append((place, next))
            case .wait(let ticket): waiting[ticket] = place
            }
        }
        func settle(_ outcome: Machine.Outcome) {
            for (ticket, answer) in outcome.served {
                guard let place = waiting.removeValue(forKey: ticket) else {
                    return #expect(Bool(false), "served twice")
                }
                take(answer, place)
            }
            for connection in outcome.closed { #expect(idle.removeValue(forKey: connection) != nil) }
        }
        for _ in 0..<20_000 {
            let place = ["a", "b", "c"][Int.random(in: 0..<3, using: &random)]
            switch Int.random(in: 0..<10, using: &random) {
            case 0..<5:
                if let answer = machine.ask(for: place, fresh: Bool.random(using: &random)) { take(answer, place) }
            case 5..<8:
                guard let index = inUse.indices.randomElement(using: &random) else { continue }
                let (place, connection) = inUse.remove(at: index)
                if Bool.random(using: &random) {
                    idle[connection] = place
                    settle(machine.putBack(connection, to: place))
                } else {
                    settle(machine.lose(at: place))
                }
            default:
                guard let (ticket, place) = waiting.randomElement(using: &random) else { continue }
                waiting[ticket] = nil
                machine.leave(place, ticket)
            }
            #expect(machine.open == inUse.count + idle.count && machine.open <= 4)
            #expect(machine.idle == idle.count && machine.idle <= 2 && machine.waiting == waiting.count)
            for place in ["a", "b", "c"] {
                let count = inUse.count { $0.place == place } + idle.values.count { $0 == place }
                #expect(count <= 2)
                // Nobody waits beside something free.
                if waiting.values.contains(place) { #expect(count == 2 || machine.open == 4 && machine.idle == 0) }
            }
        }
    }
}
#endif
