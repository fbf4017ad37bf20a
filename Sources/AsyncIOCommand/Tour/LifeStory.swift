import AsyncIO

/// The life of one task that reads from the network, told in the steps that the loop has recorded.
struct LifeStory {
    /// One step.
    struct Step: Equatable {
        let time: Duration
        let text: String
    }

    /// The numbered steps, in the order in which they happened; empty if the task did not wait for a read.
    static func steps(of actor: Recording.Actor, in recording: Recording) -> [Step] {
        let entries = recording.entries
        guard let asked = entries.firstIndex(where: { isRead($0.moment, by: actor.task) }),
            case .asked(_, _, let descriptor, let number?) = entries[asked].moment,
            let answered = entries[asked...].firstIndex(where: { isAnswer($0.moment, to: number) }),
            case .answered(_, let bytes) = entries[answered].moment
        else { return [] }
        let name = actor.name
        func time(_ index: Int) -> Duration { recording.start.duration(to: entries[index].instant) }
        func step(_ index: Int?, _ text: String) -> Step? { index.map { Step(time: time($0), text: text) } }
        func first(_ moment: Recording.Moment, from index: Int) -> Int? {
            entries[index...].firstIndex { $0.moment == moment }
        }
        let paused = first(.paused(actor.task), from: asked)
        let notified = entries[..<answered].lastIndex { isWaking($0.moment) }
        let queued = first(.queued(actor.task), from: answered)
        let resumed = queued.flatMap { first(.began(actor.task), from: $0) }
        let ended = entries.lastIndex { $0.moment == .paused(actor.task) }
        let others = paused.map { meanwhile(actor, entries[$0...answered], recording) } ?? ""
        return [
            step(first(.queued(actor.task), from: 0), "task \(name) is queued: it is ready to run"),
            step(first(.began(actor.task), from: 0), "the loop takes \(name) from the queue: \(name) runs"),
            step(asked, "\(name) reads from socket \(descriptor); the system has nothing for it yet"),
            step(paused, "\(name) is suspended; meanwhile the loop runs \(others)"),
            step(notified, "the system notifies the loop: something has come in"),
            step(answered, "the read has its \(bytes) bytes: it is complete"),
            step(queued, "\(name)'s continuation, the code after the await, is queued"),
            step(resumed, "the loop takes it from the queue: \(name) runs again"),
            step(ended, "\(name) is done"),
        ].compactMap { $0 }
    }

    /// The steps' numbers at their instants, those that are close to each other as `1-4`.
    static func marks(_ steps: [Step], in recording: Recording) -> [Recording.Mark] {
        var groups: [ClosedRange<Int>] = []
        for (index, step) in steps.enumerated() {
            if let last = groups.last, step.time - steps[index - 1].time < recording.duration / 50 {
                groups[groups.count - 1] = last.lowerBound...index + 1
            } else {
                groups.append(index + 1...index + 1)
            }
        }
        return groups.map { group in
            let text = group.count == 1 ? "\(group.lowerBound)" : "\(group.lowerBound)-\(group.upperBound)"
            return Recording.Mark(instant: recording.start.advanced(by: steps[group.lowerBound - 1].time), text: text)
        }
    }

    /// Who ran while the task was suspended, and how often.
    private static func meanwhile(
        _ actor: Recording.Actor, _ entries: ArraySlice<Recording.Entry>, _ recording: Recording
    ) -> String {
        recording.actors.filter { $0.task != actor.task }.map { other in
            let count = entries.count { $0.moment == .began(other.task) }
            return "\(other.name) \(count == 1 ? "once" : "\(count) times")"
        }.joined(separator: ", ")
    }

    private static func isRead(_ moment: Recording.Moment, by task: TaskID) -> Bool {
        guard case .asked(task, "read", _, .some) = moment else { return false }
        return true
    }

    private static func isAnswer(_ moment: Recording.Moment, to number: Int) -> Bool {
        guard case .answered(number, _) = moment else { return false }
        return true
    }

    private static func isWaking(_ moment: Recording.Moment) -> Bool {
        guard case .woke = moment else { return false }
        return true
    }
}
