import AsyncIOKernel
import AsyncIOLoop
import AsyncIOTestSupport

@testable import AsyncIOInspection

/// A watchdog of a test's own, and what it has reported.
final class TestWatchdog: Sendable {
    let watchdog = LoopWatchdog()
    private let received = Condition<[BlockedLoop]>([])

    init(limit: Duration = .milliseconds(2), leastInterval: Duration = .zero) {
        let received = received
        watchdog.start(
            Inspection.WatchdogOptions(limit: limit, leastInterval: leastInterval) { report in
                received.withLock { $0.append(report) }
                received.broadcast()
            })
    }

    var reports: [BlockedLoop] { received.withLock { $0 } }

    /// Whether a report of this kind has come.
    func has(_ isMeant: (BlockedLoop) -> Bool) -> Bool { reports.contains(where: isMeant) }

    /// Blocks the thread until a report of this kind has come: a wait in a system call.
    @inline(never)
    func block(until isMeant: (BlockedLoop) -> Bool) { _ = received.wait { $0.contains(where: isMeant) ? true : nil } }

    /// Runs a body on a watched loop of its own thread.
    func run(
        _ driver: DriverChoice, name: String = #function, _ body: @escaping @Sendable (EventLoop) async throws -> Void
    ) async throws {
        defer { watchdog.stop() }
        try await Guest.run(.guest(driver, name: name)) { loop in
            let inspector = self.inspect(loop)
            do { try await body(loop) } catch {
                inspector.end()
                throw error
            }
            inspector.end()
        }
    }

    /// Watches the loop that the caller runs on.
    func inspect(_ loop: EventLoop) -> LoopInspector { LoopInspector(loop, number: 1, watchdog: watchdog) }
}

extension BlockedLoop {
    /// The names of the functions on the stack.
    var functions: String { stack.map { $0.function ?? "?" }.joined(separator: "\n") }

    /// Whether the stack shows the function. A thread that runs and gets no processor does not answer in time: then
    /// there is none, and the report says why.
    func shows(_ function: String) -> Bool { stack.isEmpty ? note != nil : functions.contains(function) }

    var taskName: String? {
        guard case .task(_, let name) = culprit else { return nil }
        return name
    }
}
