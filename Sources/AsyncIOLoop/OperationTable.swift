import CAsyncIO

/// The operations under way, each in a slot that its token names.
///
/// It hands out tokens and takes them back, once each. A token whose operation has ended finds nothing, also after its
/// slot has been given to another operation.
struct OperationTable: ~Copyable {
    /// One operation. Its address is what a cancelled task hands back, from whatever thread: it reads `loop` and
    /// `token`, which do not change while the slot is open, and nothing else.
    @safe
    struct Slot {
        var generation: UInt32 = 0
        var nextFree: UInt32 = OperationTable.none
        var index: UInt32 = 0
        var phase = Phase.free
        /// The task that waits gives the slot back itself, after it has taken away its cancellation handler.
        var isHeldByTask = false
        var timer: TimerID?
        var continuation: UnsafeContinuation<Outcome, Never>?
        /// The suspended task that waits, if it does without a continuation.
        var word = ReadyWord.none
        /// What it came to, for a task that takes it here: one that had not come to wait yet, or without a
        /// continuation.
        var kept: Outcome?
        /// The task that waits: suspended, and so alive, until the operation has ended.
        var task: UnsafeMutableRawPointer?
        unowned(unsafe) var loop: EventLoop?

        var token: Token { Token(index: index, generation: generation) }
    }

    enum Phase { case free, underWay, ended }

    private static let none = UInt32.max
    private var slots = StableTable(filledWith: Slot())
    private var used = 0
    private var firstFree = OperationTable.none
    /// How many operations are under way.
    private(set) var count = 0

    /// Opens a slot.
    @inline(__always)
    mutating func open() -> Token {
        count += 1
        if firstFree == OperationTable.none { addSlot() }
        let slot = unsafe slots.address(Int(firstFree))
        unsafe firstFree = slot.pointee.nextFree
        unsafe slot.pointee.phase = .underWay
        return unsafe slot.pointee.token
    }

    @inline(never)
    private mutating func addSlot() {
        precondition(used < Int(UInt32.max), "more operations under way than tokens exist")
        slots.reserve(used)
        firstFree = UInt32(truncatingIfNeeded: used)
        slots[used].index = firstFree
        used += 1
    }

    /// Whether the token's operation is still under way.
    @inline(__always)
    func contains(_ token: Token) -> Bool {
        let index = Int(token.index)
        return index < used && slots[index].phase == .underWay && slots[index].generation == token.generation
    }

    /// Remembers whom to resume; or returns what the operation has come to already.
    @inline(__always)
    mutating func park(_ continuation: UnsafeContinuation<Outcome, Never>, on token: Token) -> Outcome? {
        let index = Int(token.index)
        precondition(index < used && slots[index].generation == token.generation, "parked on nobody's operation")
        if let early = slots[index].kept {
            if !slots[index].isHeldByTask { free(index) }
            return early
        }
        precondition(slots[index].phase == .underWay, "parked on an operation that has ended")
        unsafe slots[index].continuation = continuation
        return nil
    }

    /// The same for a task that is about to suspend without a continuation: it holds the slot from here on, and will
    /// ``settle(_:)`` it, or ``take(_:)`` and ``letGo(_:)``. Only for an operation that has not ended.
    @inline(__always)
    mutating func park(
        _ word: ReadyWord, on token: Token, heldBy task: UnsafeMutableRawPointer
    ) -> UnsafeMutablePointer<Slot> {
        let slot = unsafe slots.address(Int(token.index))
        precondition(
            unsafe slot.pointee.generation == token.generation && slot.pointee.phase == .underWay,
            "parked on nobody's operation")
        unsafe slot.pointee.word = word
        unsafe slot.pointee.isHeldByTask = true
        unsafe slot.pointee.task = task
        return unsafe slot
    }

    /// What an operation has come to, for the task that was suspended for it, and that gives the slot back by this.
    @inline(__always)
    mutating func settle(_ slot: UnsafeMutablePointer<Slot>) -> Outcome {
        let outcome = unsafe Self.take(slot)
        unsafe letGo(slot)
        return outcome
    }

    /// What an operation has come to, for the task that was suspended for it. On whatever thread that goes on: the slot
    /// is its own until it lets go of it.
    @inline(__always)
    static func take(_ slot: UnsafeMutablePointer<Slot>) -> Outcome {
        guard let outcome = unsafe slot.pointee.kept.take() else {
            preconditionFailure("nothing has come of it")
        }
        return outcome
    }

    /// The same for a task that runs on another thread.
    mutating func park(
        _ continuation: UnsafeContinuation<Outcome, Never>, on token: Token, task: UnsafeMutableRawPointer?
    ) -> Outcome? {
        if let early = unsafe park(continuation, on: token) { return early }
        unsafe slots[Int(token.index)].task = task
        return nil
    }

    /// The task that waits for the operation. Valid as long as the operation is under way.
    func task(of token: Token) -> UnsafeMutableRawPointer? {
        contains(token) ? unsafe slots[Int(token.index)].task : nil
    }

    /// Remembers the timer that completes the operation.
    mutating func setTimer(_ timer: TimerID, on token: Token) {
        slots[Int(token.index)].timer = timer
    }

    func timer(of token: Token) -> TimerID? {
        contains(token) ? slots[Int(token.index)].timer : nil
    }

    /// Who goes on when an operation has ended.
    @safe
    enum Waiting {
        case continuation(UnsafeContinuation<Outcome, Never>)
        /// It finds the outcome by ``OperationTable/take(_:)``.
        case word(ReadyWord)
    }

    /// Ends the operation and returns who waits for it. The second call for the same token returns nil.
    ///
    /// If its task has not come to wait yet, what it comes to is kept, and nil returned.
    @inline(__always)
    mutating func end(_ token: Token, _ outcome: Outcome) -> Waiting? {
        guard contains(token) else { return nil }
        let slot = unsafe slots.address(Int(token.index))
        unsafe slot.pointee.phase = .ended
        count -= 1
        guard let continuation = unsafe slot.pointee.continuation else {
            unsafe slot.pointee.kept = outcome
            let word = unsafe slot.pointee.word
            return word.bits == 0 ? nil : .word(word)
        }
        if unsafe !slot.pointee.isHeldByTask { free(Int(token.index)) }
        return unsafe .continuation(continuation)
    }

    /// Ends an operation that nobody will wait for: it was done at once.
    @inline(__always)
    mutating func endAtOnce(_ token: Token) {
        guard contains(token) else { return }
        count -= 1
        free(Int(token.index))
    }

    @inline(__always)
    private mutating func free(_ index: Int) { unsafe free(slots.address(index)) }

    @inline(__always)
    private mutating func free(_ slot: UnsafeMutablePointer<Slot>) {
        unsafe slot.pointee.generation &+= 1
        unsafe slot.pointee.phase = .free
        unsafe slot.pointee.isHeldByTask = false
        unsafe slot.pointee.timer = nil
        if unsafe slot.pointee.kept != nil { unsafe slot.pointee.kept = nil }
        unsafe slot.pointee.word = .none
        unsafe slot.pointee.continuation = nil
        unsafe slot.pointee.task = nil
        unsafe slot.pointee.nextFree = firstFree
        firstFree = unsafe slot.pointee.index
    }

    // MARK: Waiting tasks

    /// The task holds the slot from here on.
    @inline(__always)
    mutating func hold(_ token: Token, by task: UnsafeMutableRawPointer?) {
        let slot = unsafe slots.address(Int(token.index))
        unsafe slot.pointee.isHeldByTask = true
        unsafe slot.pointee.task = task
    }

    /// The running task's cancellation cancels the operation.
    ///
    /// One record of the runtime instead of `withTaskCancellationHandler`, which costs two more asynchronous frames.
    mutating func listen(_ token: Token, loop: EventLoop) -> UnsafeMutableRawPointer? {
        let address = unsafe slots.address(Int(token.index))
        unsafe address.pointee.loop = loop
        return unsafe casyncio_add_cancellation_handler(
            CASYNCIO_WAIT_OPERATION,
            { context in
                guard let slot = unsafe context?.assumingMemoryBound(to: Slot.self) else { return }
                unsafe slot.pointee.loop?.cancel(slot.pointee.token)
            }, address)
    }

    /// The task has been resumed and has taken its cancellation handler away. Its scope may still know the token, which
    /// names nothing any more.
    mutating func letGo(_ token: Token) {
        let slot = unsafe slots.address(Int(token.index))
        precondition(unsafe slot.pointee.generation == token.generation, "the slot is another operation's")
        unsafe letGo(slot)
    }

    @inline(__always)
    private mutating func letGo(_ slot: UnsafeMutablePointer<Slot>) {
        precondition(
            unsafe slot.pointee.phase == .ended && slot.pointee.isHeldByTask,
            "an operation's slot is given back that its task does not hold")
        unsafe free(slot)
    }

    /// What was lent to tasks that will not come for it: suspended ones do, but for a simulation's.
    mutating func takeKeptLent(ofSuspended: Bool) -> [UnsafeMutableRawPointer] {
        var all: [UnsafeMutableRawPointer] = unsafe []
        for index in 0..<used where ofSuspended || slots[index].word.bits == 0 {
            guard let memory = unsafe slots[index].kept?.lent else { continue }
            unsafe all.append(memory)
            unsafe slots[index].kept?.lent = nil
        }
        return unsafe all
    }

    /// The tokens of all operations under way.
    var openTokens: [Token] {
        (0..<used).filter { slots[$0].phase == .underWay }.map { slots[$0].token }
    }
}
