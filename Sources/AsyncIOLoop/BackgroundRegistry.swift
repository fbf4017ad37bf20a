import AsyncIOKernel

/// What the end of a loop means for a background task.
enum BackgroundKind {
    /// It is cancelled, and may take the grace period.
    case ordinary
    /// It goes on, and is cancelled and named when the grace period is over.
    case shielded
}

/// The background tasks of a loop that have not ended.
final class BackgroundRegistry: Sendable {
    /// Who is taken in.
    enum Admission { case all, shielded, none }

    private struct Entry {
        let name: String
        let kind: BackgroundKind
        let cancel: @Sendable () -> Void
    }

    private struct State {
        var tasks: [UInt64: Entry] = [:]
        var next: UInt64 = 0
        var admission = Admission.all

        var inOrder: [Entry] { tasks.sorted { $0.key < $1.key }.map(\.value) }
    }

    private let state = Condition(State())

    var count: Int { state.withLock { $0.tasks.count } }

    /// Adds a task. Nil if the loop takes none of its kind any more.
    func add(_ name: String, _ kind: BackgroundKind, cancel: @escaping @Sendable () -> Void) -> UInt64? {
        state.withLock { state in
            switch (state.admission, kind) {
            case (.all, _), (.shielded, .shielded): break
            case (.shielded, .ordinary), (.none, _): return nil
            }
            state.next += 1
            state.tasks[state.next] = Entry(name: name, kind: kind, cancel: cancel)
            return state.next
        }
    }

    func remove(_ entry: UInt64) {
        _ = state.withLock { $0.tasks.removeValue(forKey: entry) }
    }

    /// Cancels all of a kind. Oldest first, outside of the lock.
    func cancelAll(_ kind: BackgroundKind) {
        let tasks = state.withLock { $0.inOrder.filter { $0.kind == kind } }
        for task in tasks { task.cancel() }
    }

    /// The names of those that are left, oldest first.
    var names: [String] {
        state.withLock { state in
            state.inOrder.map { $0.kind == .shielded ? "shielded work \"\($0.name)\"" : $0.name }
        }
    }

    func admit(_ admission: Admission) { state.withLock { $0.admission = admission } }
}
