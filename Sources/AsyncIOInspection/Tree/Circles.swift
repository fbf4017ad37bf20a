/// Tasks that wait for each other in a circle: none of them will ever go on by itself.
public struct Circle: Sendable, Equatable {
    /// The tasks, each waiting for the next one, and the last for the first. It begins with the smallest id.
    public let tasks: [UInt64]
    /// The circle in a sentence.
    public let text: String
}

extension TaskTree {
    /// The circles of tasks that wait for each other: for a lock that the next one holds, for the value of the next
    /// one, for the end of a child.
    ///
    /// A lock's holder is known in every build; that a lock was taken by one of the task's children is not.
    public var circles: [Circle] {
        let byID = Dictionary(tasks.map { ($0.id, $0) }) { first, _ in first }
        var children: [UInt64: [UInt64]] = [:]
        for task in tasks { if let parent = task.parent { children[parent, default: []].append(task.id) } }
        /// Those without whom a task does not go on.
        func next(_ id: UInt64) -> [UInt64] {
            guard let task = byID[id], task.state == .waiting, let wait = task.wait else { return [] }
            let below = wait.kind == "group" ? children[id] ?? [] : []
            return (wait.tasks + below).filter { byID[$0] != nil }
        }
        var circles: [Circle] = []
        var finished: Set<UInt64> = []
        for task in tasks where !finished.contains(task.id) {
            // Depth first; the path is the list of those who wait for the one that is looked at.
            var path: [UInt64] = [task.id]
            var branches: [[UInt64]] = [next(task.id)]
            while let id = path.last {
                guard let successor = branches[branches.count - 1].popLast() else {
                    finished.insert(id)
                    path.removeLast()
                    branches.removeLast()
                    continue
                }
                if let start = path.firstIndex(of: successor) {
                    circles.append(circle(Array(path[start...]), byID))
                } else if !finished.contains(successor) {
                    path.append(successor)
                    branches.append(next(successor))
                }
            }
        }
        return circles
    }

    private func circle(_ path: [UInt64], _ byID: [UInt64: TaskView]) -> Circle {
        let first = path.indices.min { path[$0] < path[$1] } ?? 0
        let order = Array(path[first...] + path[..<first])
        let parts = order.compactMap { id in
            byID[id].map { "\($0.label) waits for \($0.wait.map(\.description) ?? "something")" }
        }
        return Circle(tasks: order, text: parts.joined(separator: "; "))
    }
}
