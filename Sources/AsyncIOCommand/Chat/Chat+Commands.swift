extension Chat {
    /// What a person can do, one line for each command.
    static let help = [
        "-- What you write is seen by everybody in your room. Besides:",
        "--   /who            who is in this room",
        "--   /rooms          which rooms there are",
        "--   /join ROOM      go to a room; it is made if there is none",
        "--   /nick NAME      take another name",
        "--   /me ACTION      say what you do: /me waves",
        "--   /msg NAME TEXT  tell somebody in private",
        "--   /quit           leave",
        "--   //TEXT          say something that begins with a slash",
    ]

    /// A line of clean text that is not empty.
    mutating func handle(_ text: String, from id: PersonID) {
        guard let person = person(id) else { return }
        let isCommand = text.hasPrefix("/") && !text.hasPrefix("//")
        if isCommand {
            let (word, argument) = text.firstWord
            perform(word.lowercased(), argument, by: id, person)
        } else if let name = person.name {
            let said = text.hasPrefix("//") ? String(text.dropFirst()) : text
            tellRoom(person.room, "\(name): \(said)", except: id)
        } else {
            chooseName(text, id, person)
        }
    }

    private mutating func perform(_ command: String, _ argument: String, by id: PersonID, _ person: Person) {
        switch command {
        case "/help": for line in Self.help { tell(id, line) }
        case "/quit": leave(id, .quit)
        case "/nick": chooseName(argument, id, person)
        default:
            guard let name = person.name else { return tell(id, "-- First tell us your name, please.") }
            switch command {
            case "/who": tell(id, "-- In #\(person.room): \(names(in: person.room, for: id))")
            case "/rooms": tell(id, "-- Rooms: \(roomList)")
            case "/join": join(argument, id, person, name)
            case "/me": act(argument, id, person, name)
            case "/msg": whisper(argument, id, name)
            default: tell(id, "-- There is no command \(shortened(command)). Try /help.")
            }
        }
    }

    // MARK: Names

    private mutating func chooseName(_ text: String, _ id: PersonID, _ person: Person) {
        let name: Name
        do {
            name = try Name(text, upTo: limits.nameLength)
        } catch {
            let rule = "A name has 1 to \(limits.nameLength) letters, digits, - and _."
            return tell(id, person.name == nil ? "-- \(rule) What is your name?" : "-- \(rule)")
        }
        if let owner = owner(of: name), owner != id {
            return tell(id, "-- \(name) is taken. Please choose another name.")
        }
        rename(id, to: name)
        if let old = person.name {
            if old.description == name.description { return }
            tell(id, "-- You are \(name) now.")
            tellRoom(person.room, "-- \(old) is \(name) now", except: id)
        } else {
            enter(Self.lobby, id, name)
        }
    }

    // MARK: Rooms

    private mutating func join(_ argument: String, _ id: PersonID, _ person: Person, _ name: Name) {
        let text = argument.hasPrefix("#") ? String(argument.dropFirst()) : argument
        guard let room = try? Name(text, upTo: limits.roomNameLength) else {
            let rule = "the name of a room has 1 to \(limits.roomNameLength) letters, digits, - and _"
            return tell(id, "-- Which room? For example: /join tea (\(rule)).")
        }
        if room == person.room { return tell(id, "-- You are in #\(person.room) already.") }
        if rooms[room] == nil, rooms.count >= limits.rooms {
            return tell(id, "-- There are \(limits.rooms) rooms already. Join one of them: /rooms shows which.")
        }
        step(id, outOf: person.room)
        tellRoom(person.room, "-- \(name) left for another room")
        enter(room, id, name)
    }

    private mutating func enter(_ room: Name, _ id: PersonID, _ name: Name) {
        // The spelling of whoever made it stays.
        let room = rooms.keys.first { $0 == room } ?? room
        step(id, into: room)
        tell(id, "-- You are in #\(room), \(name). Here: \(names(in: room, for: id))")
        tellRoom(room, "-- \(name) joined #\(room)", except: id)
    }

    private func names(in room: Name, for id: PersonID) -> String {
        let present = (rooms[room] ?? []).compactMap { other in
            person(other)?.name.map { (name: $0, text: other == id ? "\($0) (you)" : "\($0)") }
        }
        return list(present.sorted { $0.name < $1.name }.map(\.text))
    }

    private var roomList: String {
        list(rooms.sorted { $0.key < $1.key }.map { "#\($0.key) (\($0.value.count))" })
    }

    func list(_ entries: [String]) -> String {
        guard entries.count > limits.listed else { return entries.joined(separator: ", ") }
        let shown = entries.prefix(limits.listed).joined(separator: ", ")
        return "\(shown) and \(entries.count - limits.listed) more"
    }

    // MARK: Speaking

    private mutating func act(_ action: String, _ id: PersonID, _ person: Person, _ name: Name) {
        guard !action.isEmpty else { return tell(id, "-- What do you do? For example: /me waves") }
        tellRoom(person.room, "* \(name) \(action)")
    }

    private mutating func whisper(_ argument: String, _ id: PersonID, _ name: Name) {
        let (word, text) = argument.firstWord
        guard !text.isEmpty else { return tell(id, "-- To whom, and what? For example: /msg anna hello") }
        guard let target = (try? Name(word, upTo: limits.nameLength)).flatMap({ owner(of: $0) }) else {
            return tell(id, "-- There is nobody here called \(shortened(word)).")
        }
        tell(target, "\(name) (to you alone): \(text)")
        if target != id { tell(id, "-- Only \(shortened(word)) has seen that.") }
    }

    private func shortened(_ word: String) -> String {
        word.count > 20 ? "\(word.prefix(20))…" : word
    }
}
