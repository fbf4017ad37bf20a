import Testing

@testable import AsyncIO

/// Visitors of a machine without tasks: model checks bring them, cancel them and see what became of them.
final class Visitors {
    /// What has become of a visit, in the words of the models.
    enum Fate: Hashable { case waits, granted, ended, cancelled }

    private final class Nowhere: ParkingPlace {
        func leave(_ waiter: ParkedTask) {}
    }

    private let place = Nowhere()
    private(set) var tasks: [Int: ParkedTask] = [:]
    private var next = 0

    /// A new visitor.
    func arrive(note: Int = 0) -> (number: Int, task: ParkedTask) {
        let task = ParkedTask(at: place)
        task.note = note
        next += 1
        tasks[next] = task
        return (next, task)
    }

    /// Forgets a visitor whose visit is over.
    func depart(_ number: Int) { tasks[number] = nil }

    func fate(_ number: Int) -> Fate? {
        switch tasks[number]?.phase {
        case .queued: .waits
        case .granted: .granted
        case .ended: .ended
        case .cancelled: .cancelled
        case .fresh, nil: nil
        }
    }

    /// What the shell does for a task that is cancelled, at whatever point its visit is.
    func cancel<Machine: WaitMachine & ~Copyable>(_ number: Int, in machine: inout Machine) {
        guard let task = tasks[number], task.phase == .queued else { return }
        var woken = WakeList()
        machine.leave(task, waking: &woken)
        task.cancel()
        woken.append(task)
        woken.wake()
    }

    /// Asks a machine, as the shell does.
    func visit<Machine: WaitMachine & ~Copyable, Answer>(
        _ machine: inout Machine, _ body: (inout Machine, inout WakeList) -> Answer
    ) -> Answer {
        var woken = WakeList()
        let answer = body(&machine, &woken)
        woken.wake()
        return answer
    }
}
