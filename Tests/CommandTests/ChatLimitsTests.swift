import Testing

@testable import AsyncIOCommand

@Suite("The limits of the chat")
struct ChatLimitsTests {
    @Test("a reader who does not read is dropped, with a reason; the others read on")
    func slowReader() {
        var people = Gathering(Chat.Limits(queuedLines: 10))
        let anna = people.arrive("anna")
        let stuck = people.arrive("stuck")
        let bob = people.arrive("bob")
        _ = people.read(anna)
        var heard: [String] = []
        for number in 1...10 {
            people.say("line \(number)", anna)
            heard += people.read(bob)
        }
        // bob's arrival and nine lines fitted; the tenth did not.
        #expect(!people.chat.isHere(stuck))
        #expect(heard == (1...10).map { "anna: line \($0)" } + ["-- stuck left (too slow)"])
        #expect(people.read(anna) == ["-- stuck left (too slow)"])
        #expect(people.read(stuck) == ["-- You were too slow: goodbye."])
        #expect(people.chat.next(for: stuck) == .end)
    }

    @Test("also when it is not lines but bytes that pile up")
    func slowReaderOfLongLines() {
        var people = Gathering(Chat.Limits(queuedBytes: 2000))
        let anna = people.arrive("anna")
        let stuck = people.arrive("stuck")
        for _ in 1...3 { people.say(String(repeating: "x", count: 900), anna) }
        #expect(!people.chat.isHere(stuck))
    }

    @Test("the notice about one slow reader may be too much for the next")
    func cascade() {
        var people = Gathering(Chat.Limits(queuedLines: 8))
        let anna = people.arrive("anna")
        let stuck = (1...3).map { people.arrive("stuck\($0)") }
        for number in 1...9 {
            people.say("line \(number)", anna)
            _ = people.read(anna)
        }
        #expect(stuck.allSatisfy { !people.chat.isHere($0) })
        #expect(people.answer(to: "/who", anna) == ["-- In #lobby: anna (you)"])
    }

    @Test("many slow readers at once are one line for the others")
    func manySlowReaders() {
        var people = Gathering(Chat.Limits(queuedLines: 40, listed: 3))
        let anna = people.arrive("anna")
        let stuck = (1...30).map { people.arrive("s\($0)") }
        for id in stuck { _ = people.read(id) }
        _ = people.read(anna)
        var heard: [String] = []
        for _ in 1...41 {
            people.say("/me waves", anna)
            heard += people.read(anna)
        }
        #expect(stuck.allSatisfy { !people.chat.isHere($0) })
        #expect(heard.filter { $0.contains("too slow") } == ["-- s1, s2, s3 and 27 more left (too slow)"])
    }

    @Test("who has merely had no turn yet is waited for; who is stuck is not")
    func crowd() {
        var people = Gathering(Chat.Limits(queuedLines: 10))
        let anna = people.arrive("anna")
        let bob = people.arrive("bob")
        _ = people.chat.next(for: anna)
        #expect(people.chat.next(for: bob) == .wait)
        for _ in 1...4 { people.say("hello", anna) }
        #expect(!people.chat.isCrowded)
        people.say("hello", anna)
        #expect(people.chat.isCrowded)
        // bob's writer takes all, and does not come back: the system does not take it.
        #expect(people.read(bob).count == 5)
        for _ in 1...10 {
            people.say("hello", anna)
            #expect(!people.chat.isCrowded)
        }
        people.say("hello", anna)
        #expect(!people.chat.isHere(bob))
    }

    @Test("nobody waits for a writer who has given up, or for somebody who has left")
    func givenUp() {
        var people = Gathering(Chat.Limits(queuedLines: 10))
        let anna = people.arrive("anna")
        let bob = people.arrive("bob")
        let carl = people.arrive("carl")
        for id in [anna, bob, carl] { while people.chat.next(for: id) != .wait {} }
        for _ in 1...6 { people.say("hello", anna) }
        #expect(people.chat.isCrowded)
        people.chat.stopWriting(to: bob)
        #expect(people.chat.isCrowded)
        people.chat.leave(carl, .connectionLost)
        #expect(!people.chat.isCrowded)
    }

    @Test("one who floods himself with answers is the one who goes")
    func selfMadeFlood() {
        var people = Gathering()
        let anna = people.arrive("anna")
        let bob = people.arrive("bob")
        _ = people.read(anna)
        for _ in 1...40 { people.say("/help", bob) }
        #expect(!people.chat.isHere(bob))
        #expect(people.read(anna) == ["-- bob left (too slow)"])
    }

    @Test("so many people and no more; those before stay undisturbed")
    func people() {
        var people = Gathering(Chat.Limits(people: 2))
        let anna = people.arrive("anna")
        let bob = people.arrive("bob")
        _ = people.read(anna)
        let third = people.chat.connect()
        #expect(people.read(third) == ["-- There are 2 people here, and no room for more. Please come again."])
        #expect(people.chat.next(for: third) == .end)
        people.chat.forget(third)
        people.say("/quit", bob)
        _ = people.arrive("carl")
        #expect(people.read(anna) == ["-- bob left", "-- carl joined #lobby"])
    }

    @Test("so many rooms and no more")
    func rooms() {
        var people = Gathering(Chat.Limits(rooms: 2))
        let anna = people.arrive("anna")
        let bob = people.arrive("bob")
        people.say("/join tea", anna)
        _ = people.read(bob)
        let answer = people.answer(to: "/join coffee", bob)
        #expect(answer == ["-- There are 2 rooms already. Join one of them: /rooms shows which."])
        #expect(people.answer(to: "/join tea", bob) == ["-- You are in #tea, bob. Here: anna, bob (you)"])
    }

    @Test("the name of a room has limits too", arguments: ["", "#", "a b", "/", String(repeating: "x", count: 31)])
    func roomNames(_ name: String) {
        var people = Gathering()
        let anna = people.arrive("anna")
        #expect(people.answer(to: "/join \(name)", anna).first?.hasPrefix("-- Which room?") == true)
    }

    @Test("a line that is too long is refused, and the next one taken")
    func longLine() {
        var people = Gathering()
        let anna = people.arrive("anna")
        people.chat.receive(.tooLong, from: anna)
        #expect(people.read(anna) == ["-- That line was too long: at most 1024 bytes, please. Nobody has seen it."])
        #expect(people.answer(to: "/me sighs", anna) == ["* anna sighs"])
    }

    @Test("long lists are cut")
    func lists() {
        var people = Gathering(Chat.Limits(listed: 3))
        let ids = ["a", "b", "c", "d", "e"].map { people.arrive($0) }
        _ = people.read(ids[0])
        #expect(people.answer(to: "/who", ids[0]) == ["-- In #lobby: a (you), b, c and 2 more"])
    }

    @Test("a hundred lines at once, then so many a second")
    func pace() {
        var pace = Pace(linesPerSecond: 20, now: .zero)
        for _ in 1...100 { #expect(pace.pause(afterLineAt: .zero) == .zero) }
        #expect(pace.pause(afterLineAt: .zero) == .milliseconds(50))
        #expect(pace.pause(afterLineAt: .milliseconds(50)) == .milliseconds(50))
        #expect(pace.pause(afterLineAt: .seconds(60)) == .zero)
    }

    @Test("an outbox gives everything it has in one piece, then waits, then ends")
    func outbox() {
        var outbox = Outbox(maximumLines: 2, maximumBytes: 10)
        #expect(outbox.next() == .wait)
        #expect(outbox.append("ab\n") == .fits)
        #expect(outbox.append("12345678") == .isFull)
        #expect(outbox.append("cd\n") == .fits)
        #expect(outbox.append("e") == .isFull)
        #expect(outbox.next() == .write(Array("ab\ncd\n".utf8)))
        #expect(outbox.append("f") == .fits)
        outbox.finish()
        #expect(outbox.append("g") == .fits)
        #expect(outbox.next() == .write(Array("f".utf8)))
        #expect(outbox.next() == .end)
    }
}
