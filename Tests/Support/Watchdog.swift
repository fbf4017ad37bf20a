import AsyncIOKernel
import Glibc

/// Ends the process, with the name of what hangs, where a test would otherwise wait for ever.
package enum Watchdog {
    /// Runs blocking work on a thread of its own and suspends until it is done: the pool that tests share is small.
    package static func onThread<Success: Sendable>(
        _ name: String = #function, limit: Duration = .seconds(400),
        _ body: sending @escaping () throws -> Success
    ) async throws -> Success {
        let watch = Deadline(name, limit)
        let work = Once(body)
        return try await withCheckedThrowingContinuation { continuation in
            do {
                try SystemThread.start(name: "test") {
                    let result = Result { try work.run() }
                    // Here, and not in the task: that may wait long for one of the few threads that all tests share.
                    watch.cancel()
                    continuation.resume(with: result)
                }.detach()
            } catch {
                watch.cancel()
                continuation.resume(throwing: error)
            }
        }
    }

    /// Runs a suspending body under the watchdog.
    package static func watch<Success>(
        _ name: String = #function, limit: Duration = .seconds(400), _ body: () async throws -> Success
    ) async throws -> Success {
        let watch = Deadline(name, limit)
        defer { watch.cancel() }
        return try await body()
    }

    /// On a machine that builds beside the tests, all of which begin at once, less says nothing of a test; and with a
    /// sanitizer everything takes several times as long.
    private static let leastLimit = Duration.seconds(Sanitizer.isNone ? 300 : 1_500)

    /// One thing that has to be over by some time.
    private struct Deadline: Sendable {
        private let number: UInt64

        init(_ name: String, _ limit: Duration) {
            number = Watchdog.table.withLock { table in
                table.next += 1
                table.entries[table.next] = (name, Instant.monotonicNow.advanced(by: max(limit, leastLimit)))
                return table.next
            }
            Watchdog.table.broadcast()
            _ = Watchdog.thread
        }

        func cancel() { _ = Watchdog.table.withLock { $0.entries.removeValue(forKey: number) } }
    }

    private struct Table {
        var entries: [UInt64: (name: String, end: Instant)] = [:]
        var next: UInt64 = 0

        /// The first deadline.
        var first: Instant? { entries.values.map(\.end).min() }

        /// Nil if there is nothing to do but to sleep on.
        func look(asleepUntil end: Instant?) -> Sight? {
            if let late = entries.values.first(where: { $0.end < .monotonicNow }) { return .late(late.name) }
            guard let first else { return nil }
            return first < end ?? .distantFuture ? .earlier : nil
        }
    }

    private enum Sight { case late(String), earlier }

    private static let table = Condition(Table())

    private static let thread: SystemThread? = try? SystemThread.start(name: "watchdog") {
        while true {
            // It sleeps until the first deadline, and anew when there is an earlier one.
            let next = table.withLock { $0.first }
            let sight = table.wait(until: next) { $0.look(asleepUntil: next) }
            guard case .late(let late) = sight else { continue }
            let line = "watchdog: \(late) hangs\n"
            _ = unsafe Array(line.utf8).withUnsafeBytes { unsafe write(2, $0.baseAddress, $0.count) }
            _exit(86)
        }
    }
}

/// Carries a body that may capture anything into the one thread that runs it.
private final class Once<Success>: @unchecked Sendable {
    private let body: () throws -> Success
    init(_ body: sending @escaping () throws -> Success) { self.body = body }
    func run() throws -> Success { try body() }
}
