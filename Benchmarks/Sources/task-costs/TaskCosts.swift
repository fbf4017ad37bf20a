import AsyncIO
import Glibc

/// `task-costs spawn|switch|task-switch|queue|sleepers|task-sleepers N`: what tasks cost on the loop.
@main
struct TaskCosts {
    static func main() throws {
        let arguments = CommandLine.arguments
        guard arguments.count == 3, let what = What(rawValue: arguments[1]), let count = Int(arguments[2]), count > 0
        else {
            print("usage: task-costs \(What.allCases.map(\.rawValue).joined(separator: "|")) N")
            exit(64)
        }
        try EventLoop.run {
            let clock = ContinuousClock()
            let (start, cpuStart) = (clock.now, Usage.now.cpu)
            switch what {
            case .spawn: await spawn(count)
            case .switch: await switching(count)
            case .taskSwitch: await taskSwitching(count)
            case .queue: await queue(count)
            case .sleepers: await sleepers(count)
            case .taskSleepers: await taskSleepers(count)
            }
            let wall = start.duration(to: clock.now) / count
            let usage = Usage.now
            let cpu = (usage.cpu - cpuStart) / Double(count)
            let perOperation = Double(wall.components.seconds) * 1e9 + Double(wall.components.attoseconds) / 1e9
            print(
                "\(what.rawValue) \(count): \(rounded(perOperation)) ns/op wall, \(rounded(cpu)) ns/op cpu, "
                    + "\(usage.peakMiB) MiB")
        }
    }

    enum What: String, CaseIterable {
        case spawn, `switch`, taskSwitch = "task-switch", queue, sleepers, taskSleepers = "task-sleepers"
    }

    static func rounded(_ value: Double) -> String { "\((value * 10).rounded() / 10)" }

    /// Children of a discarding group, each ending at once.
    static func spawn(_ count: Int) async {
        await withDiscardingTaskGroup { group in
            for number in 0..<count {
                group.addTask {}
                if number % 100 == 99 { await Task.yield() }
            }
        }
    }

    /// Two tasks that yield in turn, by the loop's own yield.
    static func switching(_ count: Int) async {
        await withDiscardingTaskGroup { group in
            for _ in 0..<2 {
                group.addTask { for _ in 0..<(count / 2) { await EventLoop.yield() } }
            }
        }
    }

    /// The same by Swift's `Task.yield`.
    static func taskSwitching(_ count: Int) async {
        await withDiscardingTaskGroup { group in
            for _ in 0..<2 {
                group.addTask { for _ in 0..<(count / 2) { await Task.yield() } }
            }
        }
    }

    /// Items through a bounded hand-over between two tasks.
    static func queue(_ count: Int) async {
        let handover = Handover(capacity: 64)
        await withDiscardingTaskGroup { group in
            group.addTask { for number in 0..<count { await handover.put(number) } }
            group.addTask {
                var sum = 0
                for _ in 0..<count { sum &+= await handover.get() }
                precondition(sum == count * (count - 1) / 2, "an item was lost")
            }
        }
    }

    /// Tasks that all sleep three seconds, by the loop's own sleep.
    static func sleepers(_ count: Int) async {
        await withDiscardingTaskGroup { group in
            for _ in 0..<count {
                group.addTask { try? await EventLoop.current?.sleep(for: .seconds(3)) }
            }
        }
    }

    /// The same by Swift's `Task.sleep`, which asks the loop for a timer.
    static func taskSleepers(_ count: Int) async {
        await withDiscardingTaskGroup { group in
            for _ in 0..<count {
                group.addTask { try? await Task.sleep(for: .seconds(3)) }
            }
        }
    }
}

/// A bounded queue between tasks of one loop: no lock, since they share a thread.
final class Handover: @unchecked Sendable {
    private let capacity: Int
    private var items: [Int]
    private var head = 0
    private var count = 0
    private var getter: UnsafeContinuation<Void, Never>?
    private var putter: UnsafeContinuation<Void, Never>?

    init(capacity: Int) {
        self.capacity = capacity
        items = Array(repeating: 0, count: capacity)
    }

    func put(_ item: Int) async {
        while count == capacity { await withUnsafeContinuation { putter = $0 } }
        items[(head + count) % capacity] = item
        count += 1
        let waiting = getter
        getter = nil
        waiting?.resume()
    }

    func get() async -> Int {
        while count == 0 { await withUnsafeContinuation { getter = $0 } }
        let item = items[head]
        head = (head + 1) % capacity
        count -= 1
        let waiting = putter
        putter = nil
        waiting?.resume()
        return item
    }
}

struct Usage {
    let cpu: Double
    let peakMiB: Int

    static var now: Usage {
        var usage = rusage()
        getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
        let seconds = Double(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec)
        let microseconds = Double(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec)
        return Usage(cpu: seconds * 1e9 + microseconds * 1e3, peakMiB: usage.ru_maxrss / 1024)
    }
}
