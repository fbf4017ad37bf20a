/// One thing that has happened on a loop, in the 32 bytes that it takes in a ``TraceRing``.
struct TraceEvent: Equatable {
    /// By the loop's clock.
    var time: Int64
    /// The task that it happened to, or that did it; 0: none.
    var task: UInt64
    /// The task that woke it, or the operation's number.
    var other: UInt64 = 0
    /// The descriptor, the result, or how many there were.
    var number: Int32 = 0
    var kind: Kind
    /// The operation's name, among the ring's names.
    var name: UInt8 = 0

    /// What can happen. The numbers are part of the page's format.
    enum Kind: UInt8, CaseIterable {
        /// `task` was put into the ready queue, by `other`.
        case queued = 1
        /// `task` runs from here on.
        case began = 2
        /// `task` has suspended or ended.
        case paused = 3
        /// `task` has ended, and this is the last that is known of it.
        case over = 4
        /// `task` has done `name` on `number` at once.
        case did = 5
        /// `task` has asked for `name` on `number`, and the operation `other` is under way.
        case asked = 6
        /// The operation `other` has come to the result `number`.
        case answered = 7
        /// A timer was due.
        case fired = 8
        /// `number` requests of other threads were taken from the inbox.
        case inbox = 9
        /// A tick has begun, with `number` entries in the ready queue.
        case tick = 10
        /// The loop asks the driver: until the instant `other`; 0: it does not wait; all ones: without end.
        case asleep = 11
        /// The driver has reported `number` completions.
        case awake = 12
        /// `task` waits at a place of the kind `name`, with the name `number` among the ring's names of places; `other`
        /// could let it go on.
        case parks = 13
    }

    /// An instant as the operand of ``Kind/asleep``.
    static func limit(_ until: Int64?) -> UInt64 {
        guard let until, until != .max else { return .max }
        return UInt64(max(until, 0))
    }

    /// A number that may be too large, as near as it can be told.
    static func short(_ number: Int) -> Int32 { Int32(clamping: number) }
}
