import AsyncIOInspection
import Glibc

/// What reading and naming costs.
enum Costs {
    static func measure(_ shapes: [Shape]) async {
        var stacks: [[UInt]] = []
        for shape in shapes { if let reading = await Roll.settled(shape.name) { stacks.append(reading.stack) } }
        let tasks = shapes.compactMap { Roll.task($0.name) }
        for frames in [0, 16, 64] {
            let time = best(of: 20) {
                for task in tasks { _ = TaskReader.read(task.task, id: task.id, frames: frames) }
            }
            let count = tasks.reduce(0) { $0 + (TaskReader.read($1.task, id: $1.id, frames: frames)?.stack.count ?? 0) }
            print(
                "read, \(frames) frames: \(time / Double(tasks.count) / 1000) us a task, \(count / tasks.count) frames")
        }
        let all = stacks.flatMap { $0 }
        let addresses = Array(Set(all)).sorted()
        let before = residentKilobytes()
        let first = time { _ = Symbols.frame(at: all[1]) }
        print("first symbol: \(first / 1e6) ms")
        // The others of the program's: those of libraries have other files behind them.
        let own = addresses.filter { abs(Int($0) - Int(all[1])) < 1 << 21 }
        let others = time { for address in own { _ = Symbols.frame(at: address) } }
        print("\(own.count) symbols: \(others / 1e3 / Double(own.count)) us each")
        let libraries = time { for address in addresses { _ = Symbols.frame(at: address) } }
        print("\(addresses.count - own.count) symbols of libraries: \(libraries / 1e6) ms")
        let known = best(of: 20) { for stack in stacks { _ = Symbols.frames(of: stack) } }
        print("known symbols: \(known / 1e3 / Double(stacks.count)) us a stack")
        print("tables: \(Symbols.memory / 1024) KiB; resident: \(residentKilobytes() - before) KiB more")
        exit(0)
    }

    /// The processor's time, in nanoseconds.
    private static func time(_ body: () -> Void) -> Double {
        let began = now()
        body()
        return now() - began
    }

    private static func now() -> Double {
        var time = timespec()
        unsafe clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
        return Double(time.tv_sec) * 1e9 + Double(time.tv_nsec)
    }

    private static func best(of count: Int, _ body: () -> Void) -> Double {
        (0..<count).map { _ in time(body) }.min() ?? 0
    }

    private static func residentKilobytes() -> Int {
        var usage = rusage()
        unsafe getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
        return usage.ru_maxrss
    }
}
