import AsyncIOLoop
import CAsyncIO
import Synchronization

/// A task's place in a queue: one visit to a lock, a channel or the like that could not be answered at once.
///
/// Made by ``Parking``, kept by the suspended task, and changed only under the lock of the ``Parking`` it waits at. A
/// machine grants what was asked for, once, or gives it up because the task was cancelled, once; whoever comes second
/// finds that it is too late.
@safe
final class ParkedTask: @unchecked Sendable {
    enum Phase { case fresh, queued, granted, ended, cancelled }

    /// How far the visit has come.
    private(set) var phase = Phase.fresh
    /// What the machine notes: a weight, an index, a generation.
    var note = 0
    /// Where an item is handed over: memory for one element, of the one type that passes through the place.
    private var memory: UnsafeMutableRawPointer?
    /// The task that waits.
    private(set) var task = TaskID(0)
    /// Which visit this is, of those that the object has served.
    private(set) var visit: UInt = 0
    /// Where it waits. The suspended task keeps it alive.
    unowned(unsafe) let place: any ParkingPlace

    fileprivate var next: Neighbour
    fileprivate var previous: Neighbour
    /// What lets the task go on.
    private var waiter: Waiter?
    /// What hands the answer over to the resumed task: the runtime would, too, but where no sanitizer can see it.
    private let isAnswered = Atomic(false)

    /// The next one, or the one before, of those who wait or are to be woken: its suspended task keeps it alive. (A
    /// reference that is `unowned(unsafe)` is counted whenever it is looked at.)
    fileprivate typealias Neighbour = Unmanaged<ParkedTask>?

    init(at place: any ParkingPlace) {
        unsafe self.place = place
        unsafe (next, previous) = (nil, nil)
    }

    deinit { unsafe memory?.deallocate() }

    /// Where an item is handed over: memory for one element, which the object keeps for the next visit. Whoever fills
    /// it says who empties it.
    func slot<Element>(for type: Element.Type) -> UnsafeMutablePointer<Element> {
        let slot =
            unsafe memory
            ?? .allocate(byteCount: max(MemoryLayout<Element>.size, 1), alignment: MemoryLayout<Element>.alignment)
        unsafe memory = slot
        return unsafe slot.assumingMemoryBound(to: Element.self)
    }

    /// Begins a visit of the task that runs here.
    func begin(note: Int) {
        phase = .fresh
        visit &+= 1
        isAnswered.store(false, ordering: .relaxed)
        task = TaskID.current ?? TaskID(0)
        self.note = note
    }

    /// Whether a cancellation came before the task could queue.
    var isCancelled: Bool { phase == .cancelled }

    /// The visit has succeeded. The machine says so after it has taken the task out of its lot, or instead of putting
    /// it in.
    func grant() {
        precondition(phase == .fresh || phase == .queued, "a visit that has ended was granted again")
        phase = .granted
    }

    /// The visit ends because what it came for is over: closed, broken, aborted.
    func end() {
        precondition(phase == .fresh || phase == .queued, "a visit that has ended was ended again")
        phase = .ended
    }

    /// The visit ends because the task was cancelled.
    func cancel() {
        precondition(phase == .fresh || phase == .queued, "a visit that has ended was cancelled")
        phase = .cancelled
    }

    func prepare(_ waiter: Waiter) { self.waiter = waiter }

    /// The task has its answer already, and need not suspend. False if it was woken, which it has to suspend for.
    func goesOnAtOnce() -> Bool {
        guard waiter.take() != nil else { return false }
        isAnswered.store(true, ordering: .relaxed)
        return true
    }

    /// Lets the task go on. Never under a lock; the visit may be gone when this returns.
    func wake() {
        guard let waiter = waiter.take() else { return }
        isAnswered.store(true, ordering: .releasing)
        waiter.wake()
    }

    /// The task goes on: it sees what was done for it before its resumption.
    func receiveAnswer() {
        let isAnswered = isAnswered.load(ordering: .acquiring)
        assert(isAnswered, "a task goes on without an answer")
    }

    fileprivate func takeNext() -> Neighbour {
        defer { unsafe next = nil }
        return unsafe next
    }

    fileprivate func queue() {
        precondition(phase == .fresh, "a visit that was answered queues")
        phase = .queued
    }
}

/// Where tasks wait: what a cancelled task tells of its wish to leave.
protocol ParkingPlace: AnyObject, Sendable {
    func leave(_ waiter: ParkedTask)
}

/// The tasks that wait for the same thing, first come, first served. Part of a machine's state: no locks, no resuming.
@safe
struct ParkingLot: ~Copyable {
    private var head: ParkedTask.Neighbour
    private var tail: ParkedTask.Neighbour
    /// How many wait.
    private(set) var count = 0

    init() { unsafe (head, tail) = (nil, nil) }

    var isEmpty: Bool { count == 0 }

    /// Who has waited longest.
    var first: ParkedTask? { unsafe head?.takeUnretainedValue() }

    /// Queues a task at the end.
    mutating func append(_ waiter: ParkedTask) {
        waiter.queue()
        let last = unsafe Unmanaged.passUnretained(waiter)
        unsafe (waiter.previous, waiter.next) = (tail, nil)
        if let tail = unsafe tail {
            unsafe tail._withUnsafeGuaranteedRef { unsafe $0.next = last }
        } else {
            unsafe head = last
        }
        unsafe tail = last
        count += 1
    }

    /// Takes out who has waited longest.
    mutating func popFirst() -> ParkedTask? {
        guard let first = first else { return nil }
        remove(first)
        return first
    }

    /// Takes out a task that waits here.
    mutating func remove(_ waiter: ParkedTask) {
        precondition(waiter.phase == .queued, "a task that does not wait leaves the queue")
        let (previous, next) = unsafe (waiter.previous, waiter.next)
        if let previous = unsafe previous {
            unsafe previous._withUnsafeGuaranteedRef { unsafe $0.next = next }
        } else {
            unsafe head = next
        }
        if let next = unsafe next {
            unsafe next._withUnsafeGuaranteedRef { unsafe $0.previous = previous }
        } else {
            unsafe tail = previous
        }
        unsafe (waiter.previous, waiter.next) = (nil, nil)
        count -= 1
    }

    /// Takes out and grants all.
    mutating func grantAll(waking woken: inout WakeList) {
        while let waiter = popFirst() { woken.grant(waiter) }
    }

    /// Takes out and ends all.
    mutating func endAll(waking woken: inout WakeList) {
        while let waiter = popFirst() { woken.end(waiter) }
    }

    /// Those who wait, longest first.
    var tasks: [TaskID] {
        var tasks: [TaskID] = []
        tasks.reserveCapacity(count)
        var waiter = first
        while let current = waiter {
            tasks.append(current.task)
            waiter = unsafe current.next?.takeUnretainedValue()
        }
        return tasks
    }
}

/// Tasks that a machine has answered: resumed after the lock has been given back, in order.
@safe
struct WakeList: ~Copyable {
    private var head: ParkedTask.Neighbour
    private var tail: ParkedTask.Neighbour

    @inline(__always)
    init() { unsafe (head, tail) = (nil, nil) }

    @inline(__always)
    var isEmpty: Bool { unsafe head == nil }

    /// Adds a task that has been granted or cancelled and waits in no lot.
    mutating func append(_ waiter: ParkedTask) {
        let last = unsafe Unmanaged.passUnretained(waiter)
        if let tail = unsafe tail {
            unsafe tail._withUnsafeGuaranteedRef { unsafe $0.next = last }
        } else {
            unsafe head = last
        }
        unsafe tail = last
    }

    /// Grants and adds.
    mutating func grant(_ waiter: ParkedTask) {
        waiter.grant()
        append(waiter)
    }

    /// Ends and adds.
    mutating func end(_ waiter: ParkedTask) {
        waiter.end()
        append(waiter)
    }

    /// Takes out who was answered first.
    mutating func popFirst() -> ParkedTask? { unsafe takeFirst()?.takeUnretainedValue() }

    private mutating func takeFirst() -> ParkedTask.Neighbour {
        guard let first = unsafe head else { return nil }
        unsafe head = first._withUnsafeGuaranteedRef { unsafe $0.takeNext() }
        return unsafe first
    }

    /// Resumes all.
    @inline(__always)
    consuming func wake() {
        if !isEmpty { wakeAll() }
    }

    @inline(never)
    private mutating func wakeAll() {
        // Taken out before the resumption: the task may run at once, on another thread, and be gone.
        while let first = unsafe takeFirst() { unsafe first._withUnsafeGuaranteedRef { $0.wake() } }
    }
}
