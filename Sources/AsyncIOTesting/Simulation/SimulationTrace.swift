import AsyncIOKernel

/// What has happened in a simulation: the last events, for people, and a hash over all of them, for comparisons.
///
/// Two runs with the same hash have done the same things in the same order at the same times.
struct SimulationTrace {
    /// One event. The words mean what the verb says.
    struct Event {
        let time: Instant
        let host: String
        let verb: StaticString
        let subject: Int
        let result: Int
        let text: String?
    }

    private(set) var hash: UInt64 = 0xcbf2_9ce4_8422_2325
    private(set) var count: UInt64 = 0
    private var recent: [Event] = []
    private var oldest = 0
    private let capacity: Int

    init(capacity: Int) { self.capacity = max(capacity, 1) }

    mutating func record(
        _ time: Instant, _ host: String, _ number: Int, _ verb: StaticString, _ subject: Int = 0, _ result: Int = 0,
        _ text: String? = nil
    ) {
        count += 1
        mix(UInt64(bitPattern: time.nanoseconds))
        mix(UInt64(truncatingIfNeeded: number))
        unsafe mix(UInt64(truncatingIfNeeded: verb.utf8CodeUnitCount) << 8 | UInt64(verb.utf8Start.pointee))
        mix(UInt64(truncatingIfNeeded: subject))
        mix(UInt64(truncatingIfNeeded: result))
        if let text { for byte in text.utf8 { mix(UInt64(byte)) } }
        let event = Event(time: time, host: host, verb: verb, subject: subject, result: result, text: text)
        if recent.count < capacity {
            recent.append(event)
        } else {
            recent[oldest] = event
            oldest = (oldest + 1) % capacity
        }
    }

    /// A choice that was not the first one on offer. No event of its own.
    mutating func note(choice: Int, among count: Int) {
        mix(UInt64(truncatingIfNeeded: choice) << 32 | UInt64(truncatingIfNeeded: count))
    }

    /// FNV-1a, a word at a time, and a shift that lets the high bits count as well.
    private mutating func mix(_ word: UInt64) {
        hash = (hash ^ word) &* 0x0000_0100_0000_01b3
        hash ^= hash >> 29
    }

    /// The last events, the oldest first.
    var lastEvents: [Event] { Array(recent[oldest...] + recent[..<oldest]) }

    /// The last events as lines: `    1.000203 s  server  read 770: 12`.
    func timeline(since start: Instant) -> String {
        lastEvents.map { event in
            let micros = start.duration(to: event.time) / .microseconds(1)
            let seconds = "\(Int(micros) / 1_000_000)."
            let fraction = String(Int(micros) % 1_000_000)
            let time = seconds + String(repeating: "0", count: max(0, 6 - fraction.count)) + fraction
            let text = event.text.map { " \($0)" } ?? (event.subject == 0 ? "" : " \(event.subject): \(event.result)")
            let indentation = String(repeating: " ", count: max(0, 14 - time.count))
            return "\(indentation)\(time) s  \(event.host)  \(event.verb)\(text)"
        }.joined(separator: "\n")
    }
}
