import AsyncIOKernel
import CAsyncIO
import Synchronization

/// What other threads ask of a loop.
enum InboxEntry: Sendable {
    /// Run this job or callback.
    case ready(ReadyWord)
    /// Start an operation for a task that runs elsewhere.
    case start(RemoteOperation)
    /// Wait for an operation that was started on the loop, for a task that runs elsewhere.
    case wait(RemoteWait)
    /// Free the slot of an operation whose task goes on elsewhere.
    case letGo(Token)
    /// Cancel an operation that was started on the loop.
    case cancel(Token)
    /// Cancel what a task waits for that is in a scope.
    case cancelInScope(CancellationScope)
    /// Cancel an operation that was started from elsewhere.
    case cancelRemote(RemoteOperation)
    /// Cancel a callback's timer.
    case cancelTimer(TimerID)
    /// Arm a timer for a callback or a sleeping job.
    case arm(Instant, ReadyWord, ScheduledCall?)
    /// Close a descriptor whose owner has gone.
    case close(Handle, Closing)
}

/// The one door through which other threads reach a loop: a locked list and the question whether the loop sleeps.
///
/// Whether something waits and whether the loop sleeps are two bits of one word, which both sides change at once: so no
/// entry can fall between the loop's last look and its sleep, and the loop needs no lock for it. It is woken, by a
/// system call, only by the first entry after it fell asleep. The call is made under the list's lock: after ``close()``
/// nobody writes to a descriptor that may belong to someone else.
final class Inbox: Sendable {
    private struct State {
        var entries: [InboxEntry] = []
        var isClosed = false
        var wakeUps: UInt64 = 0
    }

    private let process = HomeProcess()
    private let state = Locked(State())
    private let signs = Atomic<UInt8>(0)
    /// Something waits in the list. Changed under the lock.
    private static let hasEntries: UInt8 = 1
    /// The loop sleeps, or is about to.
    private static let isAsleep: UInt8 = 2

    /// Adds an entry and wakes the loop if it sleeps. False if the loop is closed: the entry was not taken.
    func push(_ entry: InboxEntry, waking wake: () -> Void) -> Bool {
        // Before the lock: in a fork, it may be held by a thread that is not there.
        process.mustBeThisOne()
        return state.withLock { state in
            guard !state.isClosed else { return false }
            state.entries.append(entry)
            let before = signs.bitwiseOr(Self.hasEntries, ordering: .acquiringAndReleasing).oldValue
            if before & Self.isAsleep != 0 {
                wakeUp()
                state.wakeUps += 1
                wake()
            }
            return true
        }
    }

    /// Takes everything, in order, leaving the given empty array's memory to the next ones.
    @inline(__always)
    func take(into entries: inout [InboxEntry]) {
        guard hasSomething else { return }
        state.withLock { state in
            swap(&state.entries, &entries)
            signs.bitwiseAnd(~Self.hasEntries, ordering: .relaxed)
        }
    }

    /// Says that the loop goes to sleep. False if something came meanwhile: do not sleep.
    func fallAsleep() -> Bool {
        let (_, before) = signs.compareExchange(
            expected: 0, desired: Self.isAsleep, ordering: .acquiringAndReleasing)
        return before & Self.hasEntries == 0
    }

    /// Says that the loop is awake: entries need no wake-up.
    func wakeUp() {
        signs.bitwiseAnd(~Self.isAsleep, ordering: .acquiringAndReleasing)
    }

    /// Refuses entries from now on, and returns the last ones.
    func close() -> [InboxEntry] {
        state.withLock { state in
            state.isClosed = true
            defer { state.entries = [] }
            return state.entries
        }
    }

    /// Whether something waits to be taken.
    var hasSomething: Bool { signs.load(ordering: .acquiring) & Self.hasEntries != 0 }
    var isClosed: Bool { state.withLock { $0.isClosed } }
    var wakeUps: UInt64 { state.withLock { $0.wakeUps } }
}

/// An operation asked for by a task on another thread: one inbox entry to start it, one resumption to end it.
///
/// Its state belongs to the loop's thread.
@safe
final class RemoteOperation: @unchecked Sendable {
    let operation: Operation
    /// The task that asked. It is suspended, and so alive, until the operation has ended.
    let task = unsafe swift_task_getCurrent()
    var continuation: UnsafeContinuation<Outcome, Never>?
    var token: Token?
    var isCancelled = false

    init(_ operation: Operation) { self.operation = operation }
}

/// A wait for an operation that was started on the loop, by a task that has come to another thread since.
@safe
final class RemoteWait: @unchecked Sendable {
    let loop: EventLoop
    let token: Token
    let task = unsafe swift_task_getCurrent()
    /// Set before the loop gets to see it.
    var continuation: UnsafeContinuation<Outcome, Never>?

    init(_ loop: EventLoop, _ token: Token) {
        self.loop = loop
        self.token = token
    }

    /// Has the running task's cancellation brought to the operation.
    func listen() -> UnsafeMutableRawPointer? {
        unsafe casyncio_add_cancellation_handler(
            CASYNCIO_WAIT_ELSEWHERE,
            { context in
                guard let context = unsafe context else { return }
                let wait = unsafe Unmanaged<RemoteWait>.fromOpaque(context).takeUnretainedValue()
                wait.loop.cancel(wait.token)
            }, Unmanaged.passUnretained(self).toOpaque())
    }
}
