import AsyncIOKernel
import AsyncIOLoop
import CAsyncIO

/// Who may use a lock, a queue or another meeting place of tasks.
public enum Sharing: Sendable {
    /// Tasks on all threads. Each call pays for one uncontended lock, a few nanoseconds.
    case acrossThreads
    /// Only tasks that run on the loop where the object was made: no lock at all.
    ///
    /// A call from elsewhere is a mistake in the program and stops it with a message. So is the end of what it has
    /// handed out (a hold, a permit, one end of a channel) on another thread while the loop runs.
    case withinLoop
}

/// What decides: the state behind a lock, a queue or the like, with no notion of threads, tasks or time.
///
/// It answers a visit at once, or keeps the visitor in a ``ParkingLot`` and answers later; whom it has answered it puts
/// on the ``WakeList``. So it can be tested, and checked against a model, without a loop.
protocol WaitMachine: ~Copyable, SendableMetatype {
    /// A visitor that queues was cancelled: the machine takes it out of its lot, and sees whether that lets others go
    /// on. It must not grant it.
    mutating func leave(_ waiter: ParkedTask, waking: inout WakeList)
    /// What it is, and how things stand there for a visitor with this note: for the task tree.
    func report(to visitor: Int) -> PlaceReport
    /// What it is, in a word.
    static var kind: String { get }
}

extension WaitMachine where Self: ~Copyable {
    func report(to visitor: Int) -> PlaceReport { PlaceReport(kind: Self.kind) }
}

/// What a machine answers to a visitor.
enum Arrival {
    /// Granted, or ended otherwise: do not suspend.
    case answered
    /// The visitor is in a lot.
    case parked
}

/// Whether a visitor that queues lets itself be called away.
enum Patience {
    /// A cancelled task stops waiting.
    case untilCancelled
    /// It waits to the end: what it waits for is part of a clean-up.
    case endless
}

/// The shell around a machine, the same for all: takes the lock, asks the machine, gives the lock back, resumes whom
/// the machine has answered; suspends a visitor and brings its cancellation to the machine.
///
/// Nothing is resumed under the lock: a resumed task may come straight back.
@safe
final class Parking<Machine: WaitMachine & ~Copyable>: ParkingPlace, WaitingPlace, @unchecked Sendable {
    @safe @exclusivity(unchecked) private var machine: Machine
    private let lock = FutexLock()
    /// The loop that the machine is confined to.
    private let home: EventLoop?
    /// What its owner calls it.
    let name: String
    /// What becomes of those who still wait when a visitor has left, where the machine cannot say: it knows no clock.
    /// Set once, before the first visit; called under the lock, while a visitor keeps its owner alive.
    @safe @exclusivity(unchecked) var visitorHasLeft: ((inout Machine, inout WakeList) -> Void)?
    /// One object for the next visit, so that a queue between two tasks allocates nothing. Under the lock.
    @safe @exclusivity(unchecked) private var spare: ParkedTask?

    init(_ machine: consuming Machine, name: String = "", sharing: Sharing) {
        self.machine = machine
        self.name = name
        switch sharing {
        case .acrossThreads: home = nil
        case .withinLoop:
            guard let loop = EventLoop.current else {
                mistake("Sharing.withinLoop needs a loop that runs where the object is made")
            }
            home = loop
        }
    }

    /// Whether the machine may be asked from here.
    var isWithinReach: Bool { home.map { $0.isCurrent || $0.isClosed } ?? true }

    @inline(__always)
    private func enter() {
        guard let home else { return lock.acquire() }
        if home.isCurrent { return }
        // The tasks that outlive the loop go on elsewhere, and nobody is left there.
        guard home.isClosed else { return misused(home) }
        lock.acquire()
    }

    @inline(never)
    private func misused(_ home: EventLoop) {
        let thing = name.isEmpty || name == Machine.kind ? Machine.kind : "\(Machine.kind) \"\(name)\""
        let place = EventLoop.current.map { "on the loop \($0.name)" } ?? "on a thread without a loop"
        mistake(
            "\(thing), made with Sharing.withinLoop on the loop \(home.name), is used \(place); "
                + "make it with .acrossThreads, or go to its loop with submit")
    }

    /// Enters to stay, if the machine says so: until ``exit()``, nobody else comes to it. Between the two, nothing may
    /// be called that could ask for this place again.
    @inline(__always)
    func enter(if body: (inout Machine) -> Bool) -> Bool {
        enter()
        let stays = body(&machine)
        if !stays { exit() }
        return stays
    }

    @inline(__always)
    func exit() {
        if let home, home.isCurrent { return }
        lock.release()
    }

    /// For the task tree, from whatever thread: the lock is taken, whoever the machine is confined to.
    func report(to visitor: Int) -> PlaceReport {
        if let home, !home.isCurrent, !home.isClosed {
            return PlaceReport(kind: Machine.kind, name: name, standing: "another loop's own")
        }
        enter()
        var report = machine.report(to: visitor)
        exit()
        report.name = name
        return report
    }

    /// Asks the machine something that it answers at once and that lets nobody go on.
    @inline(__always)
    func read<Result>(_ body: (inout Machine) -> Result) -> Result {
        enter()
        defer { exit() }
        return body(&machine)
    }

    /// Asks the machine something that it answers at once.
    @inline(__always)
    func visit<Result>(_ body: (inout Machine, inout WakeList) -> Result) -> Result {
        var woken = WakeList()
        enter()
        let result = body(&machine, &woken)
        exit()
        woken.wake()
        return result
    }

    /// Brings a visitor to the machine, and suspends until it has been answered.
    ///
    /// `arrive` is not asked if the task is cancelled. Returns the visitor: granted, or cancelled. A visitor that was
    /// granted before its cancellation came stays granted: what it got is not lost.
    ///
    /// `queued` is called once the visitor is in a lot, no longer under the lock: it may be granted meanwhile, but its
    /// task does not go on before this returns.
    func park(
        note: Int = 0, patience: Patience = .untilCancelled,
        _ arrive: (inout Machine, ParkedTask, inout WakeList) -> Arrival,
        queued: (ParkedTask) -> Void = { _ in }
    ) async -> ParkedTask {
        let waiter = newcomer(note: note)
        let record = patience == .untilCancelled ? unsafe Self.listen(for: waiter) : nil
        EventLoop.taskWaits(waiter.task, at: self, as: note)
        await Waiter.suspend {
            waiter.prepare($0)
            var woken = WakeList()
            enter()
            let arrival = waiter.isCancelled ? .answered : arrive(&machine, waiter, &woken)
            exit()
            woken.wake()
            if arrival == .answered { return !waiter.goesOnAtOnce() }
            queued(waiter)
            return true
        }
        waiter.receiveAnswer()
        EventLoop.taskWaits(waiter.task, at: nil)
        if let record = unsafe record { unsafe casyncio_remove_cancellation_handler(record) }
        return waiter
    }

    /// The half that suspends of a wait which ends well or by cancellation. Throws `CancellationError`.
    func wait(_ arrive: (inout Machine, ParkedTask) -> Arrival) async throws {
        try await Visit.takeTurns()
        let visitor = await park { machine, visitor, _ in arrive(&machine, visitor) }
        defer { recycle(visitor) }
        guard visitor.phase == .granted else { throw CancellationError() }
    }

    private func newcomer(note: Int) -> ParkedTask {
        var spare: ParkedTask?
        enter()
        // A move: taken out, it would be counted twice.
        swap(&self.spare, &spare)
        exit()
        let waiter = spare ?? ParkedTask(at: self)
        waiter.begin(note: note)
        return waiter
    }

    /// Takes back what ``park(note:patience:_:queued:)`` returned: nobody looks at it any more.
    func recycle(_ waiter: ParkedTask) {
        var used: ParkedTask? = waiter
        enter()
        swap(&spare, &used)
        exit()
    }

    /// Has the running task's cancellation brought to the place where the visitor waits.
    private static func listen(for waiter: ParkedTask) -> UnsafeMutableRawPointer? {
        unsafe casyncio_add_cancellation_handler(
            CASYNCIO_WAIT_PARKED,
            { context in
                guard let context = unsafe context else { return }
                let waiter = unsafe Unmanaged<ParkedTask>.fromOpaque(context).takeUnretainedValue()
                unsafe waiter.place.leave(waiter)
            }, Unmanaged.passUnretained(waiter).toOpaque())
    }

    /// A visitor's task was cancelled. Called by the runtime, on whatever thread cancels.
    func leave(_ waiter: ParkedTask) {
        if let home, !home.isCurrent, !home.isClosed {
            let visit = waiter.visit
            // An alarm: if the loop closes first, its tasks go on elsewhere, and this one must not wait there for ever.
            _ = home.alarm(after: .zero) { if waiter.visit == visit { self.leave(waiter) } }
            return
        }
        visit { machine, woken in
            switch waiter.phase {
            case .fresh: waiter.cancel()
            case .queued:
                machine.leave(waiter, waking: &woken)
                waiter.cancel()
                woken.append(waiter)
                visitorHasLeft?(&machine, &woken)
            case .granted, .ended, .cancelled: break
            }
        }
    }

    /// Ends the visit of one that still waits, and would for ever.
    func sendAway(_ waiter: ParkedTask) {
        visit { machine, woken in
            guard waiter.phase == .queued else { return }
            machine.leave(waiter, waking: &woken)
            woken.end(waiter)
        }
    }
}
