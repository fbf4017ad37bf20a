/// The chat, without a socket: who is here, in which room, and what is to be written to whom.
///
/// A pure state machine. The server tells it what people send and who has gone (``receive(_:from:)``,
/// ``leave(_:_:)``), and asks it what to write (``next(for:)``); ``takeRung()`` names those for whom there is
/// something new.
package struct Chat {
    /// Everything that is bounded.
    package struct Limits: Sendable {
        package var people = 1000
        package var rooms = 100
        /// Bytes of a line that somebody sends.
        var lineBytes = 1024
        /// Characters.
        var nameLength = 20
        var roomNameLength = 30
        /// What may wait for a reader who does not read.
        var queuedLines = 256
        var queuedBytes = 256 * 1024
        /// How many names a list shows.
        var listed = 50

        package init(
            people: Int = 1000, rooms: Int = 100, lineBytes: Int = 1024, nameLength: Int = 20,
            roomNameLength: Int = 30, queuedLines: Int = 256, queuedBytes: Int = 256 * 1024, listed: Int = 50
        ) {
            self.people = people
            self.rooms = rooms
            self.lineBytes = lineBytes
            self.nameLength = nameLength
            self.roomNameLength = roomNameLength
            self.queuedLines = queuedLines
            self.queuedBytes = queuedBytes
            self.listed = listed
        }
    }

    /// One connection.
    struct PersonID: Hashable, Comparable, Sendable {
        let number: Int
        static func < (left: PersonID, right: PersonID) -> Bool { left.number < right.number }
    }

    /// Why somebody goes.
    enum Departure {
        case quit, connectionLost, tooSlow
        /// The server ends.
        case goodbye
        /// There is no room for so many people.
        case full
    }

    struct Person {
        /// Nil until one was chosen.
        var name: Name?
        var room = Chat.lobby
        var outbox: Outbox
        var lineEnd = "\n"
        /// Whether what they send still counts.
        var isHere = true
    }

    static let lobby = Name(known: "lobby")

    let limits: Limits
    private var people: [PersonID: Person] = [:]
    private var owners: [Name: PersonID] = [:]
    /// Who is in a room. A room is gone with the last person in it; the lobby stays.
    private(set) var rooms: [Name: Set<PersonID>] = [Chat.lobby: []]
    private var rung: Set<PersonID> = []
    /// Those whose queue was full, until somebody says goodbye to them.
    private var overrun: Set<PersonID> = []
    /// Those whose writers have much to take, and have not had their turn.
    private var behind: Set<PersonID> = []
    private var isEnding = false
    private var lastNumber = 0

    init(limits: Limits = Limits()) { self.limits = limits }

    // MARK: What happens

    /// Somebody has connected.
    mutating func connect() -> PersonID {
        lastNumber += 1
        let id = PersonID(number: lastNumber)
        people[id] = Person(outbox: Outbox(maximumLines: limits.queuedLines, maximumBytes: limits.queuedBytes))
        if isEnding {
            leave(id, .goodbye)
        } else if people.values.count(where: \.isHere) > limits.people {
            leave(id, .full)
        } else {
            tell(id, "-- Welcome to the chat of swift-asyncio. /help shows what you can do here.")
            tell(id, "-- What is your name?")
        }
        return id
    }

    /// Somebody has sent something.
    mutating func receive(_ event: LineSplitter.Event, from id: PersonID) {
        guard isHere(id) else { return }
        switch event {
        case .line(let bytes):
            let text = CleanText(bytes).description
            if !text.isEmpty { handle(text, from: id) }
        case .tooLong:
            tell(id, "-- That line was too long: at most \(limits.lineBytes) bytes, please. Nobody has seen it.")
        case .interrupt:
            leave(id, .quit)
        }
        dropOverrun()
    }

    /// Somebody goes. Once; later calls change nothing.
    mutating func leave(_ id: PersonID, _ reason: Departure) {
        if let (name, room) = remove(id, reason), let notice = reason.notice(about: "\(name)") {
            tellRoom(room, notice)
        }
        dropOverrun()
    }

    /// The server ends: everybody hears it, and every queue ends with it.
    mutating func sayGoodbye() {
        isEnding = true
        for id in people.keys.sorted() { leave(id, .goodbye) }
    }

    /// The connection is gone for good.
    mutating func forget(_ id: PersonID) {
        leave(id, .connectionLost)
        people[id] = nil
        rung.remove(id)
    }

    /// The person's lines end in CR LF, and so shall ours.
    mutating func answerWithReturns(_ id: PersonID) { people[id]?.lineEnd = "\r\n" }

    // MARK: What is to be written

    /// What the person's writer does next.
    mutating func next(for id: PersonID) -> Outbox.Next {
        behind.remove(id)
        return people[id]?.outbox.next() ?? .end
    }

    /// The person's writer has given up.
    mutating func stopWriting(to id: PersonID) {
        behind.remove(id)
        people[id]?.outbox.abandon()
    }

    /// Whether the writers should have their turn before anything else happens. Those who are stuck do not count.
    var isCrowded: Bool { !behind.isEmpty }

    /// For whom there is something new since the last time; who came first is first.
    mutating func takeRung() -> [PersonID] {
        defer { rung = [] }
        return rung.sorted()
    }

    /// Whether the person is part of the chat still.
    func isHere(_ id: PersonID) -> Bool { people[id]?.isHere == true }

    // MARK: For the commands

    func person(_ id: PersonID) -> Person? { people[id] }

    func owner(of name: Name) -> PersonID? { owners[name] }

    /// Writes a line to one person.
    mutating func tell(_ id: PersonID, _ line: String) {
        guard var person = people[id], person.isHere else { return }
        if tell(&person, line) == .isFull { overrun.insert(id) }
        if person.outbox.isBehind { behind.insert(id) }
        people[id] = person
        rung.insert(id)
    }

    /// Writes a line to everybody in a room.
    mutating func tellRoom(_ room: Name, _ line: String, except sender: PersonID? = nil) {
        for id in (rooms[room] ?? []).sorted() where id != sender { tell(id, line) }
    }

    /// Gives a person a name that is free.
    mutating func rename(_ id: PersonID, to name: Name) {
        if let old = people[id]?.name { owners[old] = nil }
        owners[name] = id
        people[id]?.name = name
    }

    /// Moves a person to a room, which is made if it does not exist.
    mutating func step(_ id: PersonID, into room: Name) {
        people[id]?.room = room
        rooms[room, default: []].insert(id)
    }

    mutating func step(_ id: PersonID, outOf room: Name) {
        rooms[room]?.remove(id)
        if rooms[room]?.isEmpty == true, room != Self.lobby { rooms[room] = nil }
    }

    // MARK: Steps

    @discardableResult
    private func tell(_ person: inout Person, _ line: String) -> Outbox.Fit {
        person.outbox.append(line + person.lineEnd)
    }

    /// Takes a person out of the chat, with a last word. Returns who is missing, and where, if anybody knew them.
    private mutating func remove(_ id: PersonID, _ reason: Departure) -> (Name, room: Name)? {
        guard var person = people[id], person.isHere else { return nil }
        switch reason {
        case .tooSlow: person.outbox.finish(insteadOfAllWith: "-- You were too slow: goodbye." + person.lineEnd)
        case .quit: tell(&person, "-- Goodbye.")
        case .goodbye: tell(&person, "-- The server ends here. Goodbye!")
        case .full: tell(&person, "-- There are \(limits.people) people here, and no room for more. Please come again.")
        case .connectionLost: break
        }
        person.outbox.finish()
        person.isHere = false
        people[id] = person
        rung.insert(id)
        behind.remove(id)
        guard let name = person.name else { return nil }
        owners[name] = nil
        step(id, outOf: person.room)
        return (name, person.room)
    }

    /// Says goodbye to those whose queue was full. Others hear of it, which may be too much for the next one.
    private mutating func dropOverrun() {
        while !overrun.isEmpty {
            let slow = overrun.sorted()
            overrun = []
            // One line about all of them: a hundred lines could be too much for those who are left.
            let missing = Dictionary(grouping: slow.compactMap { remove($0, .tooSlow) }, by: \.room)
            for (room, people) in missing {
                let names = list(people.map { "\($0.0)" })
                if let notice = Departure.tooSlow.notice(about: names) { tellRoom(room, notice) }
            }
        }
    }
}

extension Chat.Departure {
    /// What the others in the room hear.
    fileprivate func notice(about name: String) -> String? {
        switch self {
        case .quit: "-- \(name) left"
        case .connectionLost: "-- \(name) left (connection lost)"
        case .tooSlow: "-- \(name) left (too slow)"
        case .goodbye, .full: nil
        }
    }
}
