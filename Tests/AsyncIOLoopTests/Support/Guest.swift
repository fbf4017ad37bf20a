import AsyncIOKernel
import AsyncIOLoop
import Testing

extension EventLoop.Options {
    /// A loop beside whatever else the test process runs.
    static func guest(
        _ driver: DriverChoice = .epoll, name: String = "guest", grace: Duration = .seconds(5),
        fairness: Fairness = Fairness(), threads: Int = 8, errors: Errors? = nil,
        instrument: (any Instrument & Sendable)? = nil
    ) -> EventLoop.Options {
        EventLoop.Options(
            name: name, driver: driver, fairness: fairness, mode: .guest, blockingThreads: threads, grace: grace,
            interrupts: [], errorHandler: errors?.handler ?? .standardError, instrument: instrument)
    }
}

/// Runs a loop in guest mode on a plain thread, under the watchdog.
enum Guest {
    @discardableResult
    static func run<Success: Sendable>(
        _ options: EventLoop.Options = .guest(), name: String = #function,
        _ body: @escaping @Sendable (EventLoop) async throws -> Success
    ) async throws -> Success {
        try await Watchdog.onThread(name) {
            try EventLoop.run(options: options) {
                let loop = try #require(EventLoop.current)
                return try await body(loop)
            }
        }
    }
}

/// Collects what an error handler is told.
final class Errors: Sendable {
    private let collected = Condition<[UnhandledError]>([])

    var handler: EventLoop.ErrorHandler {
        EventLoop.ErrorHandler { error in
            self.collected.withLock { $0.append(error) }
            self.collected.broadcast()
        }
    }

    var all: [UnhandledError] { collected.withLock { $0 } }
    var contexts: [String] { all.map(\.context) }
    /// The names of the tasks that ignored their cancellation, of all reports.
    var stubborn: [String] {
        all.flatMap { report -> [String] in
            guard case .ignoredCancellation(let names) = report.error as? EventLoopError else { return [] }
            return names
        }
    }
}
