/// What waits to be written to one person: bounded, so that a reader who does not read costs little.
struct Outbox {
    /// What the writer has to do.
    enum Next: Equatable {
        case write([UInt8])
        /// Nothing now; the bell rings when there is something.
        case wait
        /// All is written and nothing will follow.
        case end
    }

    enum Fit { case fits, isFull }

    private var lines: [String] = []
    private var byteCount = 0
    private let maximumLines: Int
    private let maximumBytes: Int
    private(set) var isFinished = false
    /// Whether the writer has something in hand: it asks for more only when the system has taken that.
    private var isInHand = false

    init(maximumLines: Int, maximumBytes: Int) {
        self.maximumLines = maximumLines
        self.maximumBytes = maximumBytes
    }

    /// Adds a line. One that does not fit is not added.
    mutating func append(_ line: String) -> Fit {
        guard !isFinished else { return .fits }
        let size = line.utf8.count
        guard lines.count < maximumLines, byteCount + size <= maximumBytes else { return .isFull }
        lines.append(line)
        byteCount += size
        return .fits
    }

    /// Whether the queue is half full only because its writer has not had its turn yet. That is our fault, not the
    /// reader's: whoever wants to add more lets the writer run first.
    var isBehind: Bool {
        !isFinished && !isInHand && (lines.count * 2 >= maximumLines || byteCount * 2 >= maximumBytes)
    }

    /// The writer has given up.
    mutating func abandon() { isInHand = true }

    /// Nothing more will be added; what is here is still written.
    mutating func finish() { isFinished = true }

    /// Forgets what is here, and ends with a last line.
    mutating func finish(insteadOfAllWith line: String) {
        lines = [line]
        byteCount = line.utf8.count
        isFinished = true
    }

    /// Takes what is to be written next: all lines that are here, in one piece.
    mutating func next() -> Next {
        isInHand = !lines.isEmpty
        guard isInHand else { return isFinished ? .end : .wait }
        defer {
            lines.removeAll(keepingCapacity: true)
            byteCount = 0
        }
        return .write(lines.flatMap { Array($0.utf8) })
    }
}

/// How fast one person may speak: so many lines at once, then so many a second. Who is faster is read more slowly.
struct Pace {
    private let linesPerSecond: Double
    private let burst: Double
    private var credit: Double
    private var lastTime: Duration

    init(linesPerSecond: Int, burst: Int = 100, now: Duration) {
        self.linesPerSecond = Double(max(linesPerSecond, 1))
        self.burst = Double(max(burst, 1))
        credit = self.burst
        lastTime = now
    }

    /// Counts a line; returns how long to wait before the next one is taken.
    mutating func pause(afterLineAt now: Duration) -> Duration {
        credit = min(burst, credit + max((now - lastTime) / .seconds(1), 0) * linesPerSecond) - 1
        lastTime = now
        return credit >= 0 ? .zero : .seconds(-credit / linesPerSecond)
    }
}
