import AsyncIO
import CSpawnLoop
import Glibc

/// `processes N [ROUNDS]`: what it costs to run /bin/true N times, one after the other, by a C loop of posix_spawn and
/// waitpid, by `Process.spawn` and `wait`, and by `Process.run`, which collects the output of both streams; in turns.
@main
struct Processes {
    enum Way: String, CaseIterable {
        case c = "C posix_spawn + waitpid", spawn = "Process.spawn + wait", run = "Process.run"
    }

    static func main() throws {
        let numbers = CommandLine.arguments.dropFirst().compactMap { Int($0) }
        guard let count = numbers.first, count > 0, numbers.count <= 2 else {
            print("usage: processes N [ROUNDS]")
            exit(64)
        }
        let rounds = max(numbers.count > 1 ? numbers[1] : 5, 1)
        try EventLoop.run {
            var costs: [Way: [Cost]] = [:]
            let before = Cost.openDescriptors
            for _ in 0..<rounds {
                for way in Way.allCases { costs[way, default: []].append(try await measure(way, count / rounds)) }
            }
            for way in Way.allCases { report(way, costs[way] ?? [], against: costs[.c] ?? []) }
            print(
                "descriptors: \(before) before, \(Cost.openDescriptors) after; "
                    + "zombies: \(Cost.hasZombie ? "yes" : "none")"
            )
        }
    }

    static func measure(_ way: Way, _ count: Int) async throws -> Cost {
        let clock = ContinuousClock()
        let (start, before) = (clock.now, Cost.now)
        var successes = 0
        switch way {
        case .c: successes = Int(spawn_loop("/bin/true", Int32(clamping: count)))
        case .spawn:
            for _ in 0..<count {
                let process = try await Process.spawn("/bin/true")
                if try await process.wait().isSuccess { successes += 1 }
            }
        case .run:
            for _ in 0..<count where try await Process.run("/bin/true").status.isSuccess { successes += 1 }
        }
        guard successes == count else { fatalError("\(way): \(successes) of \(count) children exited with 0") }
        var cost = Cost.now.since(before, count)
        cost.wall = start.duration(to: clock.now) / .microseconds(1) / Double(count)
        return cost
    }

    static func report(_ way: Way, _ costs: [Cost], against base: [Cost]) {
        let (own, children) = (median(costs.map(\.own)), median(costs.map(\.children)))
        let ratio = (own + children) / (median(base.map { $0.own + $0.children }))
        print(
            "\(way.rawValue): \(rounded(own + children)) µs CPU a child, \(rounded(own)) of them ours and "
                + "\(rounded(children)) the child's; "
                + "\(rounded(median(costs.map(\.wall)))) µs wall; CPU × \(rounded(ratio))"
        )
    }

    static func median(_ values: [Double]) -> Double {
        let sorted = values.sorted()
        return sorted.isEmpty ? 0 : sorted[sorted.count / 2]
    }

    static func rounded(_ value: Double) -> String { "\((value * 100).rounded() / 100)" }
}

/// Processor time in microseconds: this process's, and that of its children.
struct Cost {
    var own = 0.0
    var children = 0.0
    var wall = 0.0

    static var now: Cost { Cost(own: time(RUSAGE_SELF.rawValue), children: time(RUSAGE_CHILDREN.rawValue)) }

    static func time(_ who: Int32) -> Double {
        var usage = rusage()
        getrusage(who, &usage)
        let (user, system) = (usage.ru_utime, usage.ru_stime)
        return Double(user.tv_sec + system.tv_sec) * 1e6 + Double(user.tv_usec + system.tv_usec)
    }

    func since(_ before: Cost, _ count: Int) -> Cost {
        Cost(own: (own - before.own) / Double(count), children: (children - before.children) / Double(count))
    }

    static var openDescriptors: Int {
        guard let folder = opendir("/proc/self/fd") else { return 0 }
        defer { closedir(folder) }
        var count = 0
        while readdir(folder) != nil { count += 1 }
        return count
    }

    /// Whether a child has ended that nobody has reaped.
    static var hasZombie: Bool {
        var information = siginfo_t()
        let options = Int32(WEXITED) | Int32(WNOHANG) | Int32(WNOWAIT)
        return waitid(P_ALL, 0, &information, options) == 0 && information._sifields._kill.si_pid != 0
    }
}
