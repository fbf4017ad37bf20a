public import NIOCore
import NIOPosix
import TaskWorks

/// Works of the event loop alone, which no API above it does better: timers. Does one and prints the result; nil if
/// there is no such work.
public func loopWork(_ work: String, _ count: Int, on loop: any EventLoop) -> EventLoopFuture<Void>? {
    switch work {
    case "timers": loop.submit { try timers(count, on: loop) }
    case "timers-fire": loop.flatSubmit { timersFire(count, on: loop) }
    default: nil
    }
}

/// `scheduleCallback` is what costs NIO least: no closure and no promise for each.
func timers(_ count: Int, on loop: any EventLoop) throws {
    struct Nothing: NIOScheduledCallbackHandler {
        func handleScheduledCallback(eventLoop: some EventLoop) {}
    }
    func insertAndCancel(_ count: Int) throws -> (insert: Int64, cancel: Int64) {
        let start = NIODeadline.now() + .seconds(60)
        let inserting = NIODeadline.now()
        let timers = try (0..<count).map {
            try loop.scheduleCallback(at: start + .nanoseconds(spread($0, over: 60_000_000_000)), handler: Nothing())
        }
        let cancelling = NIODeadline.now()
        for timer in timers { timer.cancel() }
        return ((cancelling - inserting).nanoseconds, (NIODeadline.now() - cancelling).nanoseconds)
    }
    _ = try insertAndCancel(count / 10)
    let mark = Mark()
    let (insert, cancel) = try insertAndCancel(count)
    mark.report("timers", count, ["insert_ns": insert, "cancel_ns": cancel])
}

func timersFire(_ count: Int, on loop: any EventLoop) -> EventLoopFuture<Void> {
    let mark = Mark()
    let start = NIODeadline.now() + .seconds(1)
    let firing = Firing(count, promise: loop.makePromise())
    do {
        for index in 0..<count {
            let deadline = start + .nanoseconds(spread(index, over: 1_000_000_000))
            firing.last = max(firing.last, deadline)
            try loop.scheduleCallback(at: deadline, handler: Timer(firing: firing, deadline: deadline))
        }
    } catch {
        return loop.makeFailedFuture(error)
    }
    return firing.promise.futureResult.assumeIsolated().map {
        let late = (NIODeadline.now() - firing.last).nanoseconds
        mark.report("timers-fire", count, ["late_ns": late, "early": Int64(firing.early)])
    }.nonisolated()
}

/// What all timers share, on the loop's thread.
final class Firing {
    var left: Int
    var early = 0
    var last = NIODeadline.uptimeNanoseconds(0)
    let promise: EventLoopPromise<Void>

    init(_ count: Int, promise: EventLoopPromise<Void>) {
        left = count
        self.promise = promise
    }
}

struct Timer: NIOScheduledCallbackHandler {
    let firing: Firing
    let deadline: NIODeadline

    func handleScheduledCallback(eventLoop: some EventLoop) {
        if NIODeadline.now() < deadline { firing.early += 1 }
        firing.left -= 1
        if firing.left == 0 { firing.promise.succeed() }
    }
}
