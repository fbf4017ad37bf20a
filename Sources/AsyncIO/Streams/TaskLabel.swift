/// Which task it is, for those who find it in their way: its name if it has one, and its number.
package struct TaskLabel: Hashable, Sendable, CustomStringConvertible {
    package let task: TaskID
    package let name: String?

    /// The task that runs here.
    package static var current: TaskLabel { TaskLabel(task: TaskID.current ?? TaskID(0), name: Task.name) }

    /// `task 7 "pay"`.
    package var description: String { "task \(task)" + (name.map { " \"\($0)\"" } ?? "") }
}
