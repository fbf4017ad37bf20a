/// Which task it is, for those who find it in their way: its name if it has one, and its number.
struct TaskLabel: Hashable, Sendable, CustomStringConvertible {
    let task: TaskID
    let name: String?

    /// The task that runs here.
    static var current: TaskLabel { TaskLabel(task: TaskID.current ?? TaskID(0), name: Task.name) }

    /// `task 7 "pay"`.
    var description: String { "task \(task)" + (name.map { " \"\($0)\"" } ?? "") }
}
