import AsyncIOKernel
package import AsyncIOLoop

extension EventLoop.Options {
    /// A loop beside whatever else the test process runs.
    package static func guest(
        _ driver: DriverChoice = .auto, name: String = "guest", grace: Duration = .seconds(5),
        fairness: Fairness = Fairness(), threads: Int = 8, errors: Errors? = nil,
        instrument: (any Instrument & Sendable)? = nil
    ) -> EventLoop.Options {
        EventLoop.Options(
            name: name, driver: driver, fairness: fairness, mode: .guest, blockingThreads: threads, grace: grace,
            interrupts: [], errorHandler: errors?.handler ?? .standardError, instrument: instrument)
    }
}

/// Runs a loop in guest mode on a plain thread, under the watchdog.
package enum Guest {
    @discardableResult
    package static func run<Success: Sendable>(
        _ options: EventLoop.Options = .guest(), name: String = #function,
        limit: Duration = .seconds(400), _ body: @escaping @Sendable (EventLoop) async throws -> Success
    ) async throws -> Success {
        try await Watchdog.onThread(name, limit: limit) {
            try EventLoop.run(options: options) {
                guard let loop = EventLoop.current else { throw EventLoopError.noLoop }
                return try await body(loop)
            }
        }
    }
}

/// Collects what an error handler is told.
package final class Errors: Sendable {
    private let collected = Condition<[UnhandledError]>([])
    package init() {}

    package var handler: EventLoop.ErrorHandler {
        EventLoop.ErrorHandler { self.add($0) }
    }

    package func add(_ error: UnhandledError) {
        collected.withLock { $0.append(error) }
        collected.broadcast()
    }

    package var all: [UnhandledError] { collected.withLock { $0 } }
    package var lines: [String] { all.map { "\($0)" } }
    package var contexts: [String] { all.map(\.context) }
    /// The names of the tasks that ignored their cancellation, of all reports.
    package var stubborn: [String] {
        all.flatMap { report -> [String] in
            guard case .ignoredCancellation(let names) = report.error as? EventLoopError else { return [] }
            return names
        }
    }
}
