import AsyncIO
import AsyncIOInspection
import Glibc

/// `trace-ring ROUNDS N`: what an event costs that is recorded.
///
/// Two tasks yield to each other N times, by turns with and without a trace: what the thread's processor time differs
/// by, shared by the events, is what an event costs. The inspection is on in both. The rings are full after the first
/// round, so that old events are overwritten. The median of the rounds counts: the machine has other things to do.
@main
struct TraceRingCosts {
    static func main() throws {
        let arguments = CommandLine.arguments
        guard arguments.count == 3, let rounds = Int(arguments[1]), let count = Int(arguments[2]), rounds > 0, count > 0
        else {
            print("usage: trace-ring ROUNDS N")
            exit(64)
        }
        try EventLoop.run {
            Inspection.start()
            await yield(count)
            var costs: [Double] = []
            var events = 0
            for _ in 0..<rounds {
                let plain = await time { await yield(count) }
                Inspection.startTrace()
                let traced = await time { await yield(count) }
                let recording = await Inspection.stopTrace()
                events = recording.eventCount + recording.lostEventCount
                costs.append((traced - plain) / Double(events))
            }
            costs.sort()
            let median = (costs[costs.count / 2] * 10).rounded() / 10
            let least = (costs[0] * 10).rounded() / 10, most = (costs[costs.count - 1] * 10).rounded() / 10
            print("an event costs \(median) ns (\(least) to \(most)), of \(events) events in each of \(rounds) rounds")
        }
    }

    static func yield(_ count: Int) async {
        await withDiscardingTaskGroup { group in
            for _ in 0..<2 {
                group.addTask { for _ in 0..<(count / 2) { await EventLoop.yield() } }
            }
        }
    }

    /// Nanoseconds of this thread's processor time.
    static func time(_ body: () async -> Void) async -> Double {
        let before = now
        await body()
        return now - before
    }

    private static var now: Double {
        var time = timespec()
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
        return Double(time.tv_sec) * 1e9 + Double(time.tv_nsec)
    }
}
