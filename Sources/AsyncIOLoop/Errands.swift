/// Waits that have no place of their own: what a task that suspends through a ``Waiter`` waits for, by its name.
package final class Errand: WaitingPlace {
    private let kind: String
    private let name: String

    package init(_ kind: String, name: String = "") {
        self.kind = kind
        self.name = name
    }

    package func report(to visitor: Int) -> PlaceReport { PlaceReport(kind: kind, name: name) }
}

extension Errand {
    /// Those who let the others go first.
    static let turn = Errand("turn")
    /// `Task.sleep` and its kind.
    static let sleep = Errand("sleep")
    /// Work on a thread of the pool.
    package static let offload = Errand("offloaded work")
}
