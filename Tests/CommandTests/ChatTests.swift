import Testing

@testable import AsyncIOCommand

/// A chat with people in it, and what each of them has read.
struct Gathering {
    var chat: Chat

    init(_ limits: Chat.Limits = Chat.Limits()) { chat = Chat(limits: limits) }

    /// Somebody connects and gives a name; the greeting is read.
    mutating func arrive(_ name: String) -> Chat.PersonID {
        let id = chat.connect()
        say(name, id)
        _ = read(id)
        return id
    }

    mutating func say(_ text: String, _ id: Chat.PersonID) { chat.receive(.line(Array(text.utf8)), from: id) }

    /// What a person's writer would send now, in lines.
    mutating func read(_ id: Chat.PersonID) -> [String] {
        guard case .write(let bytes) = chat.next(for: id) else { return [] }
        return String(decoding: bytes, as: UTF8.self).split(separator: "\n").map(String.init)
    }

    mutating func answer(to text: String, _ id: Chat.PersonID) -> [String] {
        say(text, id)
        return read(id)
    }
}

@Suite("The chat")
struct ChatTests {
    @Test("asks for a name, and shows the lobby")
    func arrival() {
        var people = Gathering()
        let anna = people.chat.connect()
        #expect(people.read(anna).last == "-- What is your name?")
        #expect(people.answer(to: "anna", anna) == ["-- You are in #lobby, anna. Here: anna (you)"])
        #expect(people.chat.takeRung() == [anna])
        #expect(people.chat.takeRung() == [])
    }

    @Test("carries what one says to all others in the room, and not back")
    func talk() {
        var people = Gathering()
        let anna = people.arrive("anna")
        let bob = people.arrive("bob")
        let carl = people.arrive("carl")
        #expect(people.read(anna) == ["-- bob joined #lobby", "-- carl joined #lobby"])
        #expect(people.answer(to: "good morning", anna) == [])
        #expect(people.read(bob) == ["-- carl joined #lobby", "anna: good morning"])
        #expect(people.read(carl) == ["anna: good morning"])
    }

    @Test(
        "takes names of letters and digits of any script",
        arguments: ["x", "Äänna-7", "Ольга", "李_1", "a1234567890123456789"])
    func goodNames(_ name: String) {
        var people = Gathering()
        let id = people.chat.connect()
        _ = people.read(id)
        #expect(people.answer(to: name, id) == ["-- You are in #lobby, \(name). Here: \(name) (you)"])
    }

    @Test(
        "refuses other names, politely",
        arguments: ["two words", "a!b", "--", "🐧", "#lobby", "x1234567890123456789012", "a\u{300}\u{300}\u{300}"])
    func badNames(_ name: String) {
        var people = Gathering()
        let id = people.chat.connect()
        _ = people.read(id)
        let answer = people.answer(to: name, id)
        #expect(answer == ["-- A name has 1 to 20 letters, digits, - and _. What is your name?"])
        #expect(people.chat.isHere(id))
    }

    @Test("gives a name once, whatever its case or composition", arguments: ["ANNA", "anna", "Änna", "A\u{308}NNA"])
    func uniqueNames(_ name: String) {
        var people = Gathering()
        _ = people.arrive("Anna")
        _ = people.arrive("änna")
        let other = people.chat.connect()
        _ = people.read(other)
        #expect(people.answer(to: name, other) == ["-- \(name) is taken. Please choose another name."])
    }

    @Test("a name is free again when its owner has left")
    func nameIsFreeAgain() {
        var people = Gathering()
        let first = people.arrive("anna")
        people.say("/quit", first)
        let second = people.chat.connect()
        _ = people.read(second)
        #expect(people.answer(to: "anna", second) == ["-- You are in #lobby, anna. Here: anna (you)"])
    }

    @Test("lets people rename themselves, also to another case of the same name")
    func rename() {
        var people = Gathering()
        let anna = people.arrive("anna")
        let bob = people.arrive("bob")
        _ = people.read(anna)
        #expect(people.answer(to: "/nick Anna", anna) == ["-- You are Anna now."])
        #expect(people.read(bob) == ["-- anna is Anna now"])
        #expect(people.answer(to: "/nick bob", anna) == ["-- bob is taken. Please choose another name."])
        #expect(people.answer(to: "/nick", anna) == ["-- A name has 1 to 20 letters, digits, - and _."])
    }

    @Test("has rooms that come and go with the people in them")
    func rooms() {
        var people = Gathering()
        let anna = people.arrive("anna")
        let bob = people.arrive("bob")
        _ = people.read(anna)
        #expect(people.answer(to: "/join #Tea", anna) == ["-- You are in #Tea, anna. Here: anna (you)"])
        #expect(people.read(bob) == ["-- anna left for another room"])
        #expect(people.answer(to: "hello?", anna) == [])
        #expect(people.read(bob) == [])
        #expect(people.answer(to: "/rooms", bob) == ["-- Rooms: #lobby (1), #Tea (1)"])
        #expect(people.answer(to: "/join tea", bob) == ["-- You are in #Tea, bob. Here: anna, bob (you)"])
        #expect(people.read(anna) == ["-- bob joined #Tea"])
        #expect(people.answer(to: "/join TEA", bob) == ["-- You are in #Tea already."])
        people.say("/join lobby", anna)
        people.say("/join lobby", bob)
        #expect(people.chat.rooms.keys.map(\.description) == ["lobby"])
    }

    @Test("knows who is here, what one does, and what is private")
    func commands() {
        var people = Gathering()
        let anna = people.arrive("anna")
        let bob = people.arrive("Bob")
        _ = people.read(anna)
        #expect(people.answer(to: "/who", anna) == ["-- In #lobby: anna (you), Bob"])
        #expect(people.answer(to: "/me waves", anna) == ["* anna waves"])
        #expect(people.answer(to: "/msg bob psst", anna) == ["-- Only bob has seen that."])
        #expect(people.read(bob) == ["* anna waves", "anna (to you alone): psst"])
        #expect(people.answer(to: "/msg carl psst", anna) == ["-- There is nobody here called carl."])
        #expect(people.answer(to: "/dance", anna) == ["-- There is no command /dance. Try /help."])
        #expect(people.answer(to: "/HELP", anna) == Chat.help)
        #expect(people.answer(to: "//usr/bin", anna) == [])
        #expect(people.read(bob) == ["anna: /usr/bin"])
        #expect(people.answer(to: "   ", anna) == [])
    }

    @Test("wants a name before all else, but helps and lets go")
    func beforeTheName() {
        var people = Gathering()
        let id = people.chat.connect()
        _ = people.read(id)
        #expect(people.answer(to: "/who", id) == ["-- First tell us your name, please."])
        #expect(people.answer(to: "/help", id) == Chat.help)
        #expect(people.answer(to: "/quit", id) == ["-- Goodbye."])
        #expect(people.chat.next(for: id) == .end)
    }

    @Test(
        "says who left, and why",
        arguments: [(Chat.Departure.quit, "-- anna left"), (.connectionLost, "-- anna left (connection lost)")])
    func departure(_ reason: Chat.Departure, notice: String) {
        var people = Gathering()
        let anna = people.arrive("anna")
        let bob = people.arrive("bob")
        people.chat.leave(anna, reason)
        people.chat.leave(anna, .connectionLost)
        people.say("ghostly words", anna)
        people.chat.forget(anna)
        #expect(people.read(bob) == [notice])
        #expect(people.chat.next(for: anna) == .end)
    }

    @Test("says goodbye to everybody, and to those who come too late")
    func goodbye() {
        var people = Gathering()
        let anna = people.arrive("anna")
        let nameless = people.chat.connect()
        _ = people.read(nameless)
        people.chat.sayGoodbye()
        let late = people.chat.connect()
        for id in [anna, nameless, late] {
            #expect(people.read(id) == ["-- The server ends here. Goodbye!"])
            #expect(people.chat.next(for: id) == .end)
        }
    }

    @Test("answers with CR LF those who write so")
    func lineEnds() {
        var people = Gathering()
        let anna = people.arrive("anna")
        people.chat.answerWithReturns(anna)
        people.say("/me waves", anna)
        #expect(people.chat.next(for: anna) == .write(Array("* anna waves\r\n".utf8)))
    }
}
