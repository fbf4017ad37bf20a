/// What a trace keeps of loops that have ended: of the last ones, so that a program that runs one loop after the other
/// may be traced for as long as it likes.
struct EndedLoops: Sendable {
    /// How many loops are kept.
    let mostLoops: Int
    /// How many events they have together; the last loop is kept whatever it has.
    let mostEvents: Int
    private(set) var loops: [TraceRecording.Loop] = []
    private var eventCount = 0
    /// How many loops were dropped.
    private(set) var lost = 0

    init(mostLoops: Int = 256, mostEvents: Int) {
        self.mostLoops = mostLoops
        self.mostEvents = mostEvents
    }

    mutating func add(_ loop: TraceRecording.Loop) {
        loops.append(loop)
        eventCount += loop.events.count
        var dropped = 0
        while loops.count - dropped > 1 && (loops.count - dropped > mostLoops || eventCount > mostEvents) {
            eventCount -= loops[dropped].events.count
            dropped += 1
        }
        loops.removeFirst(dropped)
        lost += dropped
    }

    /// What is missing, in words.
    var note: String? {
        guard lost > 0 else { return nil }
        return "Of the loops that have ended, the first \(lost) are left out: the last \(mostLoops) are kept, "
            + "as far as they have \(mostEvents) events together."
    }
}
