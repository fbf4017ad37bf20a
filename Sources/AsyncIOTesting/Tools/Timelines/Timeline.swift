import AsyncIO
import AsyncIOKernel
import AsyncIOLoop

/// A sequence of events in time, drawn as text: `a--b---|`.
///
/// One column is one tick. A letter or digit is an element, `-` or a space is a tick in which nothing happens, `|` is
/// the end, `#` an error, and what stands in brackets happens at one instant: `a-(bc)-|`. A drawing without `|` or `#`
/// goes on for ever and says nothing more.
///
/// ```swift
/// try await withVirtualTime { time in
///     let source = Timeline("a-b--c|").play(on: time)
///     try await Timeline.record(source.map { $0.uppercased() }, on: time).expect("A-B--C|")
/// }
/// ```
public struct Timeline: Hashable, Sendable, CustomStringConvertible, ExpressibleByStringLiteral {
    /// What happens at an instant.
    public enum Event: Hashable, Sendable {
        /// An element, by the character that stands for it.
        case element(Character)
        /// The end.
        case end
        /// An error.
        case error
    }

    /// What happens, with the tick at which it does, in order.
    public let events: [(tick: Int, event: Event)]

    /// Why a drawing is none.
    public struct DrawingError: Error, Hashable, Sendable, CustomStringConvertible {
        /// The drawing.
        public let drawing: String
        /// The column, from 0.
        public let column: Int
        /// What is wrong there.
        public let reason: String
        /// One line.
        public var description: String { "\"\(drawing)\", column \(column): \(reason)" }
    }

    init(events: [(tick: Int, event: Event)]) { self.events = events }

    /// Reads a drawing. Throws ``DrawingError`` for one that is none.
    public init(parsing drawing: String) throws {
        var events: [(Int, Event)] = []
        var (tick, isInside, hasEnded) = (0, false, false)
        for (column, character) in drawing.enumerated() {
            func wrong(_ reason: String) -> DrawingError {
                DrawingError(drawing: drawing, column: column, reason: reason)
            }
            switch character {
            case "(" where isInside: throw wrong("a bracket inside a bracket")
            case "(": isInside = true
            case ")" where !isInside: throw wrong("a bracket ends that has not begun")
            case ")":
                isInside = false
                tick += 1
            case "-", " ":
                if isInside { throw wrong("time does not pass inside a bracket") }
                tick += 1
            default:
                if hasEnded { throw wrong("nothing comes after the end") }
                let event: Event = character == "|" ? .end : character == "#" ? .error : .element(character)
                hasEnded = event == .end || event == .error
                events.append((tick, event))
                if !isInside { tick += 1 }
            }
        }
        if isInside {
            throw DrawingError(drawing: drawing, column: drawing.count, reason: "a bracket that does not end")
        }
        self.init(events: events)
    }

    /// Reads a drawing in the program's text. Stops the program if it is none: see ``init(parsing:)``.
    public init(_ drawing: String) {
        do { self = try Timeline(parsing: drawing) } catch { mistake("\(error)") }
    }

    /// A drawing in the program's text. Stops the program if it is none.
    public init(stringLiteral drawing: String) { self.init(drawing) }

    /// Whether the same things happen at the same ticks.
    public static func == (left: Timeline, right: Timeline) -> Bool {
        left.events.elementsEqual(right.events) { $0.tick == $1.tick && $0.event == $1.event }
    }

    /// Hashes the events.
    public func hash(into hasher: inout Hasher) {
        for (tick, event) in events {
            hasher.combine(tick)
            hasher.combine(event)
        }
    }

    /// The drawing.
    public var description: String {
        var text = ""
        var column = 0
        var index = events.startIndex
        while index < events.endIndex {
            let tick = events[index].tick
            let group = events[index...].prefix { $0.tick == tick }
            if tick > column { text += String(repeating: "-", count: tick - column) }
            let symbols = group.map(\.event.symbol)
            text += symbols.count == 1 ? String(symbols) : "(\(String(symbols)))"
            column = tick + 1
            index += group.count
        }
        return text
    }

    /// Throws ``TimelineDifference`` unless this is what was expected.
    public func expect(_ expected: Timeline) throws {
        if self != expected { throw TimelineDifference(expected: expected, found: self) }
    }
}

extension Timeline.Event {
    fileprivate var symbol: Character {
        switch self {
        case .element(let character): character
        case .end: "|"
        case .error: "#"
        }
    }
}

/// Two timelines that should be the same.
public struct TimelineDifference: Error, Hashable, Sendable, CustomStringConvertible {
    /// What should have happened.
    public let expected: Timeline
    /// What has happened.
    public let found: Timeline

    /// The first tick at which they differ.
    public var tick: Int {
        let pairs = zip(expected.events, found.events)
        if let (one, other) = pairs.first(where: { $0.tick != $1.tick || $0.event != $1.event }) {
            return min(one.tick, other.tick)
        }
        let longer = expected.events.count > found.events.count ? expected.events : found.events
        return longer[min(expected.events.count, found.events.count)].tick
    }

    /// Both, one below the other, and the tick.
    public var description: String {
        "timelines differ at tick \(tick):\n  expected  \(expected)\n  found     \(found)"
    }
}
