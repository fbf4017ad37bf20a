import AsyncIOKernel
import AsyncIOTestSupport
import Testing

@testable import AsyncIOLoop

@Suite("The ready queue")
struct ReadyRingTests {
    /// A word that stands for a number; never run.
    private func word(_ number: Int) -> ReadyWord { ReadyWord(bits: UInt(number) << 4) }
    private func number(_ word: ReadyWord) -> Int { Int(word.bits >> 4) }

    @Test("words come out in the order in which they went in, around the end of the ring")
    func wraps() {
        var ring = ReadyRing(capacity: 8)
        var (next, expected) = (0, 0)
        for _ in 0..<1000 {
            for _ in 0..<5 {
                ring.push(word(next))
                next += 1
            }
            for _ in 0..<5 {
                let popped = ring.pop()
                #expect(number(popped) == expected)
                expected += 1
            }
        }
        let isEmpty = ring.isEmpty
        #expect(isEmpty)
    }

    @Test("a full ring grows without losing the order, wherever its head stands", arguments: 0..<9)
    func grows(head: Int) {
        var ring = ReadyRing(capacity: 8)
        for number in 0..<head {
            ring.push(word(number))
            _ = ring.pop()
        }
        for number in 0..<1000 { ring.push(word(number)) }
        let count = ring.count
        #expect(count == 1000)
        var taken: [Int] = []
        while !ring.isEmpty { taken.append(number(ring.pop())) }
        #expect(taken == Array(0..<1000))
    }

    @Test(
        "each word keeps the time when it was queued, if it was wanted then, wherever the head stands",
        arguments: 0..<9)
    func times(head: Int) {
        var ring = ReadyRing(capacity: 8)
        for number in 0..<head {
            ring.push(word(number), at: Instant(nanoseconds: -1))
            _ = ring.pop()
        }
        for number in 0..<5 { ring.push(word(number), at: Instant(nanoseconds: -1)) }
        ring.isTimed = true
        for number in 5..<500 { ring.push(word(number), at: Instant(nanoseconds: Int64(number))) }
        var seen: [Int] = []
        ring.forEach { word, time in
            seen.append(number(word))
            #expect(time == (number(word) < 5 ? .distantPast : Instant(nanoseconds: Int64(number(word)))))
        }
        #expect(seen == Array(0..<500))
        for expected in 0..<500 {
            let time = ring.firstTime
            #expect(time == (expected < 5 ? .distantPast : Instant(nanoseconds: Int64(expected))))
            _ = ring.pop()
        }
        ring.push(word(1), at: Instant(nanoseconds: 1))
        ring.isTimed = false
        let time = ring.firstTime
        #expect(time == .distantPast)
    }

    @Test("random pushes and pops agree with an array")
    func model() {
        var random = Randomness()
        var ring = ReadyRing(capacity: 2)
        var model: [Int] = []
        var taken = 0
        for step in 0..<200_000 {
            if Int.random(in: 0..<100, using: &random) < (step / 1000 % 2 == 0 ? 60 : 40) || taken == model.count {
                model.append(step)
                ring.push(word(step))
            } else {
                let popped = number(ring.pop())
                guard popped == model[taken] else {
                    Issue.record("\(popped) instead of \(model[taken]); \(random.note)")
                    return
                }
                taken += 1
            }
            guard ring.count == model.count - taken else {
                Issue.record("count after step \(step); \(random.note)")
                return
            }
        }
    }

    @Test("a word keeps its kind", arguments: [ReadyWord.Kind.generic, .preferred, .isolated, .main, .call])
    func kinds(kind: ReadyWord.Kind) {
        let word = ReadyWord(bits: 0x7fff_1234_5670 | kind.rawValue)
        #expect(word.kind == kind)
        #expect(unsafe word.pointer == UnsafeMutableRawPointer(bitPattern: 0x7fff_1234_5670 as UInt))
    }

    @Test("capacities are powers of two", arguments: [(0, 1), (1, 1), (2, 2), (3, 4), (256, 256), (257, 512)])
    func powers(number: Int, power: Int) {
        #expect(number.nextPowerOfTwo == power)
    }
}
