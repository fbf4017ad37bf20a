/// One line of a timeline: what a task, or a loop, was at from when to when.
struct Lane: Equatable {
    /// A stretch of time in which one thing went on.
    struct Span: Equatable {
        var start: Int64
        var end: Int64
        var state: State
        /// What is waited for: an operation's name, or the kind of a place.
        var operation: String?
        /// What the operation works on, or the place's name.
        var target: String?
        /// What it has come to.
        var result: Int32?
        /// Of ``State/parked``: the task that could let this one go on, or 0.
        var holder: UInt64 = 0
        /// Of ``State/ready``: who ended the wait.
        var waker = Waker.unknown
    }

    /// What can go on. The numbers are part of the page's format.
    enum State: UInt8 {
        case running = 0, ready, reading, writing, sleeping, otherOperation
        /// For another task, at a lock, a queue or the like.
        case parked
        /// For what is not known, or ran elsewhere.
        case unknown
        /// Of a loop.
        case working, asleep
    }

    /// Who has put a task into the ready queue.
    enum Waker: Equatable {
        case unknown, operation, timer
        /// Another thread, by way of the inbox.
        case outside
        case task(UInt64)
    }

    /// Something that took no time.
    struct Mark: Equatable {
        var time: Int64
        var kind: Kind
        var operation: String?
        var target: String?
        var number: Int32 = 0

        /// The numbers are part of the page's format.
        enum Kind: UInt8 { case did = 0, tick, fired, inbox, awake }
    }

    /// 0: the loop's own lane.
    var task: UInt64
    var spans: [Span] = []
    var marks: [Mark] = []
    /// Whether the last span ends because the task has ended.
    var isOver = false
}
