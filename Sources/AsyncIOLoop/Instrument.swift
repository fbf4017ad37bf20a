public import AsyncIOKernel
import CAsyncIO

/// Somebody who watches a loop work: a timeline, a watchdog, a test.
///
/// Called on the loop's thread, between and inside its steps, so it has to be quick, and it must not call the loop.
/// Where none is installed, the loop asks one pointer and goes on.
public protocol Instrument: AnyObject {
    /// Something has happened, at an instant of the loop's clock.
    func record(_ event: LoopEvent, at instant: Instant)
}

/// What an ``Instrument`` sees, in the order of the loop's tick.
public enum LoopEvent: Sendable, Equatable {
    /// A tick has begun its batch; so many entries were ready.
    case tickBegan(ready: Int)
    /// A task's job was put into the ready queue.
    case queued(TaskID)
    /// A task runs from here on.
    case jobWillRun(TaskID)
    /// The task that ran has suspended or ended.
    case jobDidRun(TaskID)
    /// The running task has asked for an operation on a descriptor.
    case operation(String, CInt, OperationState)
    /// An operation that waited has ended with this result: a number, or a negated error number.
    case resumed(OperationID, Int)
    /// The loop asks the driver, and sleeps at most until the instant.
    case waitBegan(until: Instant?)
    /// The driver has answered with so many completions.
    case waitEnded(completions: Int)
    /// So many requests of other threads were found in the inbox, and are worked on now: what is queued next, was
    /// queued by them.
    case inboxTaken(Int)
    /// A timer was due, and does now what it is for: what is queued next, was queued by it. One that is an operation's
    /// shows as ``resumed(_:_:)`` as well.
    case timerFired

    /// How an operation began.
    public enum OperationState: Sendable, Equatable {
        /// It ended at once.
        case completed
        /// The task is suspended until it ends.
        case waits(OperationID)
    }
}

/// The runtime's number for a task.
public struct TaskID: Hashable, Sendable, CustomStringConvertible {
    /// The number, as in a debugger.
    public let number: UInt64
    /// Wraps a number.
    public init(_ number: UInt64) { self.number = number }
    /// The number.
    public var description: String { "\(number)" }

    /// A task's.
    package init<Success, Failure>(of task: Task<Success, Failure>) {
        // A handle is the task's address, and nothing else.
        number = unsafe swift_task_getJobTaskId(unsafeBitCast(task, to: UnsafeMutableRawPointer.self))
    }

    /// The task that runs here; nil in code that runs in no task.
    public static var current: TaskID? {
        guard let task = unsafe swift_task_getCurrent() else { return nil }
        return unsafe TaskID(swift_task_getJobTaskId(task))
    }
}

/// Names an operation while it waits.
public struct OperationID: Hashable, Sendable {
    let token: Token
    package init(token: Token) { self.token = token }

    /// The same as a number: no two operations that wait at the same time have the same one.
    package var number: UInt64 { UInt64(token.generation) << 32 | UInt64(token.index) }
}

extension ReadyWord {
    /// The task that a job belongs to. Only before the job runs.
    var taskID: TaskID {
        guard let pointer = unsafe pointer else { return TaskID(0) }
        return unsafe TaskID(swift_task_getJobTaskId(pointer))
    }
}

/// Where tasks wait for each other, or for whatever else is no operation: for the task tree.
package protocol WaitingPlace: AnyObject, Sendable {
    /// What it is and how things stand there, for one who waits: the number says what this one wants. From any thread.
    func report(to visitor: Int) -> PlaceReport
}

/// What a place tells of itself to somebody who wonders why a task waits there.
package struct PlaceReport: Sendable {
    /// What it is: `lock`, `queue`.
    package var kind: String
    /// What its owner calls it.
    package var name: String
    /// How things stand: `10 of 10 taken`.
    package var standing: String?
    /// Whose end would let the visitor go on, as far as that is known.
    package var holders: [TaskID]

    package init(kind: String, name: String = "", standing: String? = nil, holders: [TaskID] = []) {
        self.kind = kind
        self.name = name
        self.standing = standing
        self.holders = holders
    }
}

extension EventLoop {
    /// Says where the task that runs here is about to wait; nil: that it need not, after all.
    @inline(__always)
    package static func taskWaits(at place: @autoclosure () -> (any WaitingPlace)?, as visitor: Int = 0) {
        guard let pointer = unsafe casyncio_current_loop() else { return }
        unsafe Unmanaged<EventLoop>.fromOpaque(pointer)._withUnsafeGuaranteedRef {
            $0.core.tell { $0.watcher?.waits(at: place(), as: visitor) }
        }
    }

    /// Says where a task that runs here is about to wait, or that it has waited: for those who watch, and for a
    /// simulation.
    package static func taskWaits(_ task: TaskID, at place: (any WaitingPlace)?, as visitor: Int = 0) {
        guard let pointer = unsafe casyncio_current_loop() else { return }
        unsafe Unmanaged<EventLoop>.fromOpaque(pointer)._withUnsafeGuaranteedRef { loop in
            if let simulator = loop.core.simulator { simulator.note(task, waitsAt: place.map { type(of: $0) }) }
            loop.core.tell { $0.watcher?.waits(at: place, as: visitor) }
        }
    }
}
