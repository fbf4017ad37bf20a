import AsyncIO
import Glibc

/// What happens between runs and at their end, on the main thread.
package enum RunScenes {
    static let options = EventLoop.Options(grace: .milliseconds(200), errorHandler: Report.errorHandler)

    /// Tasks that are started between two runs are not lost.
    package static func between() throws {
        Report.line("first run: \(try EventLoop.run(options: options) { 1 })")
        let plain = Task { 2 }
        let onMain = Task { @MainActor in isOnMainThread }
        let isIsolated = MainActor.assumeIsolated { true }
        Report.line("isolated between runs: \(isIsolated)")
        try EventLoop.run(options: options) {
            Report.line("plain task between runs: \(await plain.value)")
            Report.thread("main actor task between runs", await onMain.value)
            Report.thread("Task{} in the second run", await Task { isOnMainThread }.value)
            try await Task.sleep(for: .milliseconds(1))  // sleeps: is what is tested
            Report.thread("after sleep in the second run", isOnMainThread)
        }
        do { try EventLoop.run(options: options) { throw EventLoopError.noLoop } } catch {
            Report.line("third run: \(error as? EventLoopError == .noLoop)")
        }
    }

    /// A task that was started between two runs comes to the second one's loop at one of its next waits.
    package static func comingHome() throws {
        try EventLoop.run(options: options) {}
        let task = Task {
            for _ in 0..<10_000_000 {
                await EventLoop.yield()
                if isOnMainThread { return true }
            }
            return false
        }
        try EventLoop.run(options: options) { Report.thread("task from between", await task.value) }
    }

    /// A task of the first body goes on in the second, on the same runner.
    package static func runner() throws {
        let runner = try EventLoop.Runner(options: options)
        let task = try runner.run {
            Task {
                for _ in 0..<10 { try await Task.sleep(for: .milliseconds(1)) }  // sleeps: spans both bodies
                return isOnMainThread
            }
        }
        Report.thread("task of the first body", try runner.run { try await task.value })
        runner.close()
    }

    /// Plain tasks are cancelled and awaited at the end; who does not stop is named.
    package static func ending() throws {
        let stubborn = Stubborn()
        try EventLoop.run(options: options) {
            Task(name: "obedient") {
                do { try await Task.sleep(for: .seconds(1000)) } catch {  // sleeps: is cancelled
                    await Task.yield()
                    Report.line("obedient: cancelled \(Task.isCancelled), \(isOnMainThread)")
                }
            }
            Task(name: "on main") { @MainActor in
                do { try await Task.sleep(for: .seconds(1000)) } catch {  // sleeps: is cancelled
                    Report.line("on main: cancelled \(Task.isCancelled)")
                }
            }
            Task(name: "stubborn plain") { while !stubborn.mayEnd { await Task.yield() } }
            Task { @MainActor in
                while !stubborn.mayEnd {
                    if !isOnMainThread { Report.line("main actor code on another thread") }
                    await Task.yield()
                }
            }
            EventLoop.current?.spawn(name: "stubborn spawned") { while !stubborn.mayEnd { await Task.yield() } }
            // Each has begun before the body ends.
            for _ in 0..<5 { await Task.yield() }
        }
        Report.line("run has ended")
        // Time in which a main actor task that escaped would betray itself.
        usleep(50_000)  // sleeps: nothing can be waited for, since nothing should happen
        stubborn.end()
        Report.line("second run: \(try EventLoop.run(options: options) { 1 })")
    }

    /// A task that ends on another loop's thread is forgotten like any other.
    package static func forgotten(count: Int) throws {
        try EventLoop.run(options: options) {
            let other = try LoopThread()
            let visitor = Visitor(loop: other.loop)
            func visits(_ count: Int) async {
                await withTaskGroup(of: Void.self) { group in
                    for _ in 0..<count {
                        group.addTask {
                            await Task { await visitor.nothing() }.value
                            await Task { await Task.yield() }.value
                        }
                        await group.next()
                    }
                }
            }
            await visits(1000)
            let before = residentBytes()
            await visits(count)
            let growth = residentBytes() - before
            Report.line("memory stays: \(growth < count * 100) (\(growth / 1024) KiB for \(count) tasks)")
            await other.shutdown()
        }
    }

    /// Timers are small, and cancelled ones leave nothing behind.
    package static func timers(count: Int) throws {
        try EventLoop.run(options: options) {
            let loop = try EventLoop.current.value
            let before = residentBytes()
            func arm() -> [ScheduledCall] { (0..<count).map { loop.callLater(.seconds(1000 + $0 % 997)) {} } }
            var calls = arm()
            let first = residentBytes() - before
            Report.line("\(first / count) bytes each: \(first < count * 500)")
            for _ in 0..<3 {
                for call in calls { call.cancel() }
                calls = arm()
            }
            let last = residentBytes() - before
            Report.line("\(last / count) bytes each later: \(last < count * 600)")
            for call in calls { call.cancel() }
            Report.line("none is left: \(await loop.statistics.pendingTimers == 0)")
        }
    }

    private static func residentBytes() -> Int {
        guard let file = unsafe fopen("/proc/self/statm", "r") else { return 0 }
        defer { unsafe fclose(file) }
        var line = [CChar](repeating: 0, count: 200)
        guard unsafe fgets(&line, 200, file) != nil else { return 0 }
        let text = String(decoding: line.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
        return (text.split(separator: " ").dropFirst().first.flatMap { Int($0) } ?? 0) * 4096
    }
}

private actor Visitor: LoopActor {
    nonisolated let loop: EventLoop
    init(loop: EventLoop) { self.loop = loop }
    func nothing() {}
}

private final class Stubborn: Sendable {
    private let flag = Condition(false)
    var mayEnd: Bool { flag.withLock { $0 } }
    func end() { flag.withLock { $0 = true } }
}
