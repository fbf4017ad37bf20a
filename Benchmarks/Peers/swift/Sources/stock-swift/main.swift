// Swift's own concurrency and nothing else: tasks on the runtime's pool of threads, which has as many as there are
// cores to run on. No sockets: Swift has none of its own, SwiftNIO is the peer for them.
import Glibc
import Subprocess
import SystemPackage
import TaskWorks

let arguments = CommandLine.arguments
let work = arguments.count > 1 ? arguments[1] : ""
let count = arguments.count > 2 ? Int(arguments[2]) ?? 0 : 0

switch work {
case "timers": await timers(count)
case "timers-fire": await timersFire(count)
case "cross": await cross(count)
case "children": try await children(count)
case "start": await Task {}.value
case "echo", "proxy", "udp": cannot("Swift has no sockets")
case "files": cannot("Swift reads no files without blocking")
default:
    guard try await runTaskWork(work, count) else { cannot("unknown: \(work)") }
}
exit(0)  // parked tasks are left behind

/// The only timer is `Task.sleep`: each takes a task.
@concurrent func timers(_ count: Int) async {
    func insertAndCancel(_ count: Int) async -> (insert: Int64, cancel: Int64) {
        let (clock, inserted) = (ContinuousClock(), Counter())
        let start = clock.now + .seconds(60)
        let inserting = clock.now
        let cancelling = await withDiscardingTaskGroup { group in
            for index in 0..<count {
                group.addTask {
                    inserted.add()
                    try? await clock.sleep(until: start + .nanoseconds(spread(index, over: 60_000_000_000)))
                }
            }
            while inserted.value < count { await Task.yield() }
            group.cancelAll()
            return clock.now
        }
        return (nanoseconds(cancelling - inserting), nanoseconds(clock.now - cancelling))
    }
    _ = await insertAndCancel(count / 10)
    let mark = Mark()
    let (insert, cancel) = await insertAndCancel(count)
    mark.report("timers", count, ["insert_ns": insert, "cancel_ns": cancel])
}

@concurrent func timersFire(_ count: Int) async {
    let (mark, clock, early) = (Mark(), ContinuousClock(), Counter())
    let start = clock.now + .seconds(1)
    await withDiscardingTaskGroup { group in
        for index in 0..<count {
            group.addTask {
                let deadline = start + .nanoseconds(spread(index, over: 1_000_000_000))
                try? await clock.sleep(until: deadline)
                if clock.now < deadline { early.add() }
            }
        }
    }
    let last = start + .nanoseconds((0..<count).map { spread($0, over: 1_000_000_000) }.max() ?? 0)
    mark.report("timers-fire", count, ["late_ns": nanoseconds(clock.now - last), "early": Int64(early.value)])
}

func nanoseconds(_ duration: Duration) -> Int64 {
    duration.components.seconds * 1_000_000_000 + duration.components.attoseconds / 1_000_000_000
}

/// Between the main thread and the pool's: an actor of each.
@MainActor func cross(_ count: Int) async {
    let other = Answering()
    await measure("cross", count) { @MainActor count in
        for number in 0..<count {
            let answer = await other.answer(number)
            precondition(answer == number)
        }
    }
}

actor Answering {
    var answered = 0

    @inline(never)
    func answer(_ number: Int) -> Int {
        answered += 1
        return number
    }
}

/// By swift-subprocess, which is the Swift project's own.
@concurrent func children(_ count: Int) async throws {
    try await measure("children", count) { count in
        for _ in 0..<count {
            let result = try await run(.path("/bin/true"), input: .none, output: .discarded, error: .discarded)
            precondition(result.terminationStatus.isSuccess)
        }
    }
}
