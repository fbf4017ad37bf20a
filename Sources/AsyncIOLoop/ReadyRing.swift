import AsyncIOKernel

/// One entry of the ready queue in one word: a job of Swift's runtime, or a callback.
///
/// Jobs and objects are aligned to 16 bytes, so the low bits say how to run them.
struct ReadyWord: Sendable {
    enum Kind: UInt {
        /// A job of the process's default executor: run as anybody's, the fastest way.
        case generic = 0
        /// A job of a task that prefers this loop.
        case preferred = 1
        /// A job of an actor whose executor is this loop.
        case isolated = 2
        /// A job of the main actor.
        case main = 3
        /// A job of the main actor in a simulation: it runs on the loop that queued it.
        case visiting = 5
        /// A retained ``ScheduledCall``.
        case call = 4
    }

    private static let mask: UInt = 7
    /// No job.
    static let none = ReadyWord(bits: 0)
    let bits: UInt

    init(bits: UInt) { self.bits = bits }

    init(_ job: UnownedJob, _ kind: Kind) {
        bits = unsafe unsafeBitCast(job, to: UInt.self) | kind.rawValue
    }

    init(retaining call: ScheduledCall) {
        bits = unsafe UInt(bitPattern: Unmanaged.passRetained(call).toOpaque()) | Kind.call.rawValue
    }

    var kind: Kind { Kind(rawValue: bits & Self.mask) ?? .generic }

    /// The job. Only for the kinds of jobs.
    var job: UnownedJob { unsafe unsafeBitCast(bits & ~Self.mask, to: UnownedJob.self) }

    /// The object behind the word.
    var pointer: UnsafeMutableRawPointer? { unsafe UnsafeMutableRawPointer(bitPattern: bits & ~Self.mask) }

    /// The call, whose ownership passes to the caller. Only for ``Kind/call``, and once.
    func takeCall() -> ScheduledCall? {
        guard kind == .call, let pointer = unsafe pointer else { return nil }
        return unsafe Unmanaged<ScheduledCall>.fromOpaque(pointer).takeRetainedValue()
    }
}

/// The ready queue: a ring of words whose size is a power of two, grown when full, never shrunk.
@safe
struct ReadyRing: ~Copyable {
    private var words: UnsafeMutablePointer<UInt>
    private var mask: Int
    private var head = 0
    private var tail = 0
    /// When each word was queued, while somebody wants to know.
    private var times: UnsafeMutablePointer<Instant>?

    init(capacity: Int = 256) {
        let size = max(capacity, 2).nextPowerOfTwo
        unsafe words = .allocate(capacity: size)
        mask = size - 1
    }

    deinit {
        unsafe words.deallocate()
        unsafe times?.deallocate()
    }

    var count: Int { tail &- head }
    var isEmpty: Bool { tail == head }

    @inline(__always)
    mutating func push(_ word: ReadyWord) {
        if count > mask { grow() }
        unsafe words[tail & mask] = word.bits
        tail &+= 1
    }

    /// Adds a word that is queued at this instant, if that is wanted.
    mutating func push(_ word: ReadyWord, at instant: Instant) {
        push(word)
        if let times = unsafe times { unsafe times[(tail &- 1) & mask] = instant }
    }

    /// When the oldest word was queued; the distant past if nobody wanted to know.
    var firstTime: Instant { unsafe times.map { unsafe $0[head & mask] } ?? .distantPast }

    /// Whether it is remembered when words are queued.
    var isTimed: Bool {
        get { unsafe times != nil }
        set {
            guard newValue != isTimed else { return }
            unsafe times?.deallocate()
            unsafe times = newValue ? Self.noTimes(mask + 1) : nil
        }
    }

    private static func noTimes(_ size: Int) -> UnsafeMutablePointer<Instant> {
        let times = UnsafeMutablePointer<Instant>.allocate(capacity: size)
        unsafe times.initialize(repeating: .distantPast, count: size)
        return unsafe times
    }

    /// All words, oldest first, with the times when they were queued. Nothing may be queued meanwhile.
    func forEach(_ body: (ReadyWord, Instant) -> Void) {
        for offset in 0..<count {
            let place = (head &+ offset) & mask
            unsafe body(ReadyWord(bits: words[place]), times.map { unsafe $0[place] } ?? .distantPast)
        }
    }

    /// Takes the oldest word. The ring must not be empty.
    @inline(__always)
    mutating func pop() -> ReadyWord {
        precondition(head != tail, "nothing is ready")
        let bits = unsafe words[head & mask]
        head &+= 1
        return ReadyWord(bits: bits)
    }

    /// Puts another one of the first so many words in front, as a simulation draws it. Callbacks keep their places:
    /// they are made in the order in which they were queued, and what was queued before them runs before.
    mutating func exchangeFirst(batch: Int, _ simulator: any LoopSimulator) {
        var choices = 0
        while choices < batch, unsafe ReadyWord(bits: words[(head &+ choices) & mask]).kind != .call { choices += 1 }
        guard choices > 1 else { return }
        let chosen = simulator.choose(among: choices)
        guard chosen > 0, chosen < choices else { return }
        let (first, other) = (head & mask, (head &+ chosen) & mask)
        unsafe swap(&words[first], &words[other])
        if let times = unsafe times { unsafe swap(&times[first], &times[other]) }
    }

    private mutating func grow() {
        let size = (mask + 1) * 2
        let wider = UnsafeMutablePointer<UInt>.allocate(capacity: size)
        let filled = count
        for offset in 0..<filled { unsafe wider[offset] = words[(head &+ offset) & mask] }
        if let former = unsafe times {
            let longer = unsafe Self.noTimes(size)
            for offset in 0..<filled { unsafe longer[offset] = former[(head &+ offset) & mask] }
            unsafe former.deallocate()
            unsafe times = longer
        }
        unsafe words.deallocate()
        unsafe words = wider
        mask = size - 1
        head = 0
        tail = filled
    }
}

extension Int {
    /// The smallest power of two that is not smaller.
    var nextPowerOfTwo: Int {
        self <= 1 ? 1 : 1 << (Int.bitWidth - (self - 1).leadingZeroBitCount)
    }
}
