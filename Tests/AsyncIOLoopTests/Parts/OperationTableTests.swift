import AsyncIOKernel
import AsyncIOTestSupport
import Testing

@testable import AsyncIOLoop

@Suite("The operations under way")
struct OperationTableTests {
    @Test("a token ends once; the second time nobody knows it")
    func once() {
        var table = OperationTable()
        let token = table.open()
        #expect(table.contains(token) == true)
        table.endAtOnce(token)
        #expect(table.contains(token) == false)
        let count = table.count
        #expect(count == 0)
        let again = table.end(token, Outcome(0)) == nil
        #expect(again)
        #expect(table.count == 0)
    }

    @Test("a slot that is used again has another name, and the old one reaches nobody")
    func generations() {
        var table = OperationTable()
        var seen: Set<Token> = []
        for _ in 0..<10_000 {
            let token = table.open()
            let isNew = seen.insert(token).inserted
            #expect(isNew)
            #expect(token.index == 0)
            table.endAtOnce(token)
        }
        let current = table.open()
        for old in seen {
            #expect(table.contains(old) == false)
            table.endAtOnce(old)
        }
        #expect(table.contains(current) == true)
        #expect(table.count == 1)
    }

    @Test("a token's timer is forgotten with the token")
    func timers() {
        var heap = TimerHeap()
        var table = OperationTable()
        let token = table.open()
        let timer = heap.insert(at: .distantFuture, .complete(token))
        table.setTimer(timer, on: token)
        #expect(table.timer(of: token) == timer)
        table.endAtOnce(token)
        #expect(table.timer(of: token) == nil)
        let next = table.open()
        #expect(table.timer(of: next) == nil)
    }

    @Test("random opening and ending agrees with a set")
    func model() {
        var random = Randomness()
        var table = OperationTable()
        var open: [Token] = []
        var ended: [Token] = []
        for step in 0..<200_000 {
            switch Int.random(in: 0..<10, using: &random) {
            case 0..<5 where open.count < 2000: open.append(table.open())
            case 5..<9 where !open.isEmpty:
                let token = open.remove(at: Int.random(in: 0..<open.count, using: &random))
                table.endAtOnce(token)
                if ended.count < 500 { ended.append(token) }
            default:
                guard let token = ended.randomElement(using: &random) else { continue }
                table.endAtOnce(token)
            }
            guard table.count == open.count else {
                Issue.record("\(table.count) instead of \(open.count) at step \(step); \(random.note)")
                return
            }
        }
        let reported = Set(table.openTokens)
        #expect(reported == Set(open), "\(random.note)")
        for token in ended where table.contains(token) {
            Issue.record("\(token) is known after its end; \(random.note)")
        }
    }
}

@Suite("A table whose elements stay where they are")
struct StableTableTests {
    @Test("growing neither moves elements nor forgets them")
    func stays() {
        var table = StableTable<Int>(filledWith: -1)
        table.reserve(0)
        table[0] = 0
        let first = unsafe table.address(0)
        for index in 1..<100_000 {
            table.reserve(index)
            #expect(table[index] == -1)
            table[index] = index
        }
        let isInPlace = unsafe table.address(0) == first
        #expect(isInPlace)
        for index in 0..<100_000 where table[index] != index { Issue.record("element \(index) is \(table[index])") }
        #expect(table.count >= 100_000)
        #expect(table.count % 256 == 0)
    }

    @Test("a far index makes room for all before it")
    func far() {
        var table = StableTable<Int>(filledWith: 7)
        table.reserve(5000)
        let sum = (0...5000).reduce(0) { $0 + table[$1] }
        #expect(sum == 7 * 5001)
    }

    @Test("elements are released with the table")
    func releases() {
        final class Witness {}
        weak var witness: Witness?
        do {
            let strong = Witness()
            witness = strong
            var table = StableTable<Witness?>(filledWith: nil)
            table.reserve(300)
            table[299] = strong
        }
        #expect(witness == nil)
    }
}
