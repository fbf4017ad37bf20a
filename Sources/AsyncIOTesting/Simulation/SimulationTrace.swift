import AsyncIOKernel

/// What has happened in a simulation: the last events, for people, and a hash over all of them, for comparisons.
///
/// Two runs with the same hash have done the same things in the same order at the same times.
struct SimulationTrace {
    /// Of whom an event tells.
    struct Subject {
        /// The host's number; 0 is the host of the simulation's body.
        let number: Int

        init(host number: Int) { self.number = number }
        private init() { number = -1 }

        /// Nobody: a note on the world.
        static let nobody = Subject()
    }

    /// One event. The words mean what the verb says. Nothing in it is counted by reference: an event is written for
    /// each system call, and hardly ever read.
    struct Event {
        let time: Instant
        let whom: Subject
        let verb: StaticString
        let subject: Int
        let result: Int
        let hasText: Bool
    }

    private(set) var hash: UInt64 = 0xcbf2_9ce4_8422_2325
    private(set) var count: UInt64 = 0
    private var recent: [Event] = []
    private var oldest = 0
    /// The texts of those recent events that have one, by their places.
    private var texts: [Int: String] = [:]
    /// What the hosts are called, in the order of their numbers.
    var names = ["simulation"]
    private let capacity: Int

    init(capacity: Int) { self.capacity = max(capacity, 1) }

    mutating func record(
        _ time: Instant, _ whom: Subject, _ verb: StaticString, _ subject: Int = 0, _ result: Int = 0,
        _ text: String? = nil
    ) {
        count += 1
        mix(UInt64(bitPattern: time.nanoseconds))
        mix(UInt64(truncatingIfNeeded: max(whom.number, 0)))
        unsafe mix(UInt64(truncatingIfNeeded: verb.utf8CodeUnitCount) << 8 | UInt64(verb.utf8Start.pointee))
        mix(UInt64(truncatingIfNeeded: subject))
        mix(UInt64(truncatingIfNeeded: result))
        if let text { for byte in text.utf8 { mix(UInt64(byte)) } }
        let event = Event(
            time: time, whom: whom, verb: verb, subject: subject, result: result, hasText: text != nil)
        if recent.count < capacity {
            if let text { texts[recent.count] = text }
            recent.append(event)
        } else {
            if text != nil || recent[oldest].hasText { texts[oldest] = text }
            recent[oldest] = event
            oldest = oldest + 1 == capacity ? 0 : oldest + 1
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

    /// The last events as lines: `    1.000203 s  server  read 770: 12`.
    func timeline(since start: Instant) -> String {
        // The oldest first.
        (Array(oldest..<recent.count) + Array(0..<oldest)).map { place in
            let event = recent[place]
            let host = names.indices.contains(event.whom.number) ? names[event.whom.number] : "note"
            let micros = start.duration(to: event.time) / .microseconds(1)
            let seconds = "\(Int(micros) / 1_000_000)."
            let fraction = String(Int(micros) % 1_000_000)
            let time = seconds + String(repeating: "0", count: max(0, 6 - fraction.count)) + fraction
            let text = texts[place].map { " \($0)" } ?? (event.subject == 0 ? "" : " \(event.subject): \(event.result)")
            let indentation = String(repeating: " ", count: max(0, 14 - time.count))
            return "\(indentation)\(time) s  \(host)  \(event.verb)\(text)"
        }.joined(separator: "\n")
    }
}
