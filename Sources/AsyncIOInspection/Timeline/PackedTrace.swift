import AsyncIOKernel

/// A recording as the page wants it: a list of lanes as JSON, and their spans and marks as bytes.
///
/// The bytes hold, lane after lane, its spans and then its marks, in numbers of seven bits a byte, the low ones first:
///
/// - a span: the time since the end of the one before, its length, its state, and then by the state: of a wait the
///   operation, the target and the result; of a wait at a place its kind, its name, and the task that could let this
///   one go on; of `ready` who ended the wait;
/// - a mark: the time since the one before, its kind, the operation and the target, or the number.
///
/// Times are nanoseconds, from the recording's beginning on. Operations and targets are numbers in the list of strings,
/// 0 for none. Results may be negative, and are written with the sign at the low end. Who ended a wait: 0 nobody knows,
/// 1 an operation, 2 a timer, 3 another thread, and from 4 on the task of that id.
struct PackedTrace {
    private(set) var bytes: [UInt8] = []
    private(set) var strings: [String] = [""]
    private var numbers: [String: Int] = ["": 0]
    private(set) var lanes: [Entry] = []
    private let start: Int64

    /// What the page knows of a lane besides its spans.
    struct Entry {
        var loop: Int
        var task: UInt64
        var fact: TraceRecording.Task?
        var isOver: Bool
        var spans: Int
        var marks: Int
    }

    init(_ recording: TraceRecording) {
        start = recording.start.nanoseconds
        for (place, loop) in recording.loops.enumerated() {
            let facts = Dictionary(loop.tasks.map { ($0.id, $0) }) { first, _ in first }
            for lane in Lanes.of(loop, from: start, to: recording.end.nanoseconds) {
                lanes.append(
                    Entry(
                        loop: place, task: lane.task, fact: facts[lane.task], isOver: lane.isOver,
                        spans: lane.spans.count, marks: lane.marks.count))
                add(lane)
            }
        }
    }

    private mutating func add(_ lane: Lane) {
        var time = start
        for span in lane.spans {
            add(max(span.start - time, 0))
            add(max(span.end - max(span.start, time), 0))
            time = max(span.end, time)
            bytes.append(span.state.rawValue)
            switch span.state {
            case .running, .unknown, .working, .asleep: break
            case .parked:
                add(number(of: span.operation))
                add(number(of: span.target))
                add(Int64(clamping: span.holder) << 1)
            case .ready: add(Int64(clamping: number(of: span.waker)))
            case .reading, .writing, .sleeping, .otherOperation:
                add(number(of: span.operation))
                add(number(of: span.target))
                let result = Int64(span.result ?? 0)
                add((result << 1) ^ (result >> 63))
            }
        }
        time = start
        for mark in lane.marks {
            add(max(mark.time - time, 0))
            time = max(mark.time, time)
            bytes.append(mark.kind.rawValue)
            if mark.kind == .did {
                add(number(of: mark.operation))
                add(number(of: mark.target))
            } else {
                add(Int64(max(mark.number, 0)))
            }
        }
    }

    private func number(of waker: Lane.Waker) -> UInt64 {
        switch waker {
        case .unknown: 0
        case .operation: 1
        case .timer: 2
        case .outside: 3
        case .task(let id): id &+ 4
        }
    }

    private mutating func number(of text: String?) -> Int64 {
        guard let text else { return 0 }
        if let number = numbers[text] { return Int64(number) }
        numbers[text] = strings.count
        strings.append(text)
        return Int64(strings.count - 1)
    }

    private mutating func add(_ number: Int64) {
        var rest = UInt64(bitPattern: number)
        while rest >= 0x80 {
            bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        bytes.append(UInt8(truncatingIfNeeded: rest))
    }
}

/// Bytes in the letters of RFC 4648, section 4.
struct Base64Text {
    private static let letters = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)

    static func encoded(_ bytes: ArraySlice<UInt8>) -> [UInt8] {
        var text: [UInt8] = []
        text.reserveCapacity((bytes.count + 2) / 3 * 4)
        var place = bytes.startIndex
        while place < bytes.endIndex {
            let left = bytes.endIndex - place
            let second = left > 1 ? bytes[place + 1] : 0
            let third = left > 2 ? bytes[place + 2] : 0
            text.append(letters[Int(bytes[place] >> 2)])
            text.append(letters[Int(bytes[place] & 3) << 4 | Int(second >> 4)])
            text.append(left > 1 ? letters[Int(second & 15) << 2 | Int(third >> 6)] : UInt8(ascii: "="))
            text.append(left > 2 ? letters[Int(third & 63)] : UInt8(ascii: "="))
            place += 3
        }
        return text
    }
}
