import AsyncIO
import Glibc

/// Many loops, one after the other: nothing may be left of them.
package enum Churn {
    package static func loops(count: Int) throws {
        // What is made once and stays: the afterlife, the runtime's own.
        for _ in 0..<20 { try one() }
        let before = (entries("/proc/self/fd"), entries("/proc/self/task"))
        for _ in 0..<count { try one() }
        Report.line("descriptors: \(entries("/proc/self/fd") - before.0) more")
        Report.line("threads: \(max(settled("/proc/self/task", before.1) - before.1, 0)) more")
    }

    private static func one() throws {
        let thread = try LoopThread()
        let loop = thread.loop
        let value = try loop.submit {
            try await loop.sleep(for: .nanoseconds(1))
            return 1
        }.wait()
        let late = loop.submit { try await loop.sleep(for: .seconds(1000)) }
        thread.close()
        if value != 1 { Report.line("value \(value)") }
        do { try late.wait() } catch is CancellationError {} catch { Report.line("ended with \(error)") }
        try EventLoop.run(options: EventLoop.Options(mode: .guest)) { try await loop.offloadNothing() }
    }

    /// A joined thread has gone; a pool's thread may still be on its way out.
    private static func settled(_ folder: String, _ wanted: Int) -> Int {
        let end = Instant.monotonicNow.advanced(by: .seconds(5))
        while entries(folder) > wanted && Instant.monotonicNow < end { sched_yield() }
        return entries(folder)
    }

    private static func entries(_ folder: String) -> Int {
        guard let stream = unsafe opendir(folder) else { return -1 }
        defer { unsafe closedir(stream) }
        var count = 0
        while unsafe readdir(stream) != nil { count += 1 }
        return count
    }
}

extension EventLoop {
    /// A closed loop refuses, an open one starts a thread: either way it is used.
    fileprivate func offloadNothing() async throws {
        do {
            try await offload {}
            Report.line("a closed loop took work")
        } catch EventLoopError.closed {
            try await EventLoop.current?.offload {}
        }
    }
}
