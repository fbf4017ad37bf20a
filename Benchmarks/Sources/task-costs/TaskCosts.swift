import AsyncIO
import Glibc

/// `task-costs WHAT N`: what tasks cost on the loop.
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
            case .queue: try await queue(count, capacity: 64)
            case .handOver: try await handOver(count)
            case .lock: try await lock(count)
            case .call: await call(count)
            case .timeout: try await timeout(count)
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
        case spawn, `switch`, taskSwitch = "task-switch", queue, handOver = "hand-over", lock, call, timeout, sleepers,
            taskSleepers = "task-sleepers"
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

    /// Items through a bounded queue between two tasks.
    static func queue(_ count: Int, capacity: Int) async throws {
        let queue = AsyncQueue<Int>(capacity: QueueCapacity(capacity))
        async let putting: Void = {
            for number in 0..<count { try await queue.put(number) }
            queue.finish()
        }()
        var sum = 0
        while let number = try await queue.next() { sum &+= number }
        precondition(sum == count * (count - 1) / 2, "an item was lost")
        try await putting
    }

    /// Items that go there and back between two tasks: both suspend for each.
    static func handOver(_ count: Int) async throws {
        let (there, back) = (AsyncQueue<Int>(capacity: 1), AsyncQueue<Int>(capacity: 1))
        async let answering: Void = {
            while let number = try await there.next() { try await back.put(number) }
        }()
        for number in 0..<(count / 2) {
            try await there.put(number)
            let answer = try await back.get()
            precondition(answer == number)
        }
        there.finish()
        try await answering
    }

    /// A lock that nobody else wants.
    static func lock(_ count: Int) async throws {
        let lock = AsyncLock()
        var sum = 0
        for number in 0..<count { try await lock.withLock { sum &+= number } }
        precondition(sum == count * (count - 1) / 2)
    }

    /// A limit in time around something that does not suspend.
    static func timeout(_ count: Int) async throws {
        var sum = 0
        for number in 0..<count { try await withTimeout(.seconds(10)) { sum &+= number } }
        precondition(sum == count * (count - 1) / 2)
    }

    /// An asynchronous call that does nothing: what the others are compared with.
    static func call(_ count: Int) async {
        for _ in 0..<count { await nothing() }
    }

    @inline(never)
    static func nothing() async {}

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
