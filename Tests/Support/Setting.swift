import AsyncIOKernel
package import AsyncIOLoop
import Testing

/// Where the test's own task runs, seen from the loop that does the work.
package enum Caller: String, CaseIterable, Sendable {
    /// On the loop: `EventLoop.run` on a plain thread, as a guest.
    case onLoop
    /// On Swift's own threads: each operation visits a ``LoopThread``.
    case elsewhere
}

/// What a test's body is repeated for.
package struct Setting: Sendable, CustomTestStringConvertible {
    package let driver: DriverChoice
    package let caller: Caller

    package init(driver: DriverChoice, caller: Caller) {
        self.driver = driver
        self.caller = caller
    }

    package var testDescription: String { "\(driver.rawValue), called \(caller.rawValue)" }

    package static let all = Drivers.available.flatMap { driver in
        Caller.allCases.map { Setting(driver: driver, caller: $0) }
    }
}

/// Runs a test's body with a loop; whatever hangs ends the process with the test's name after a minute.
package func withLoop<Result: Sendable>(
    _ setting: Setting, reports: Errors = Errors(), limit: Duration = .seconds(400),
    _ body: @escaping @Sendable (EventLoop) async throws -> Result
) async throws -> Result {
    await Turnstile.shared.enter()
    defer { Task { await Turnstile.shared.leave() } }
    let options = EventLoop.Options.guest(setting.driver, name: "test", errors: reports)
    let name = "\(Test.current?.name ?? "a test") (\(setting.testDescription))"
    switch setting.caller {
    case .onLoop:
        return try await Guest.run(options, name: name, limit: limit, body)
    case .elsewhere:
        return try await Watchdog.watch(name, limit: limit) {
            let thread = try LoopThread(options: options)
            let result: Swift.Result<Result, any Error>
            do { result = .success(try await body(thread.loop)) } catch { result = .failure(error) }
            await thread.shutdown()
            return try result.get()
        }
    }
}

/// Lets few tests run at a time, so that a watchdog measures its own test and not all the others.
private actor Turnstile {
    static let shared = Turnstile()
    private var free = 3
    private var waiting: [CheckedContinuation<Void, Never>] = []

    func enter() async {
        if free > 0 {
            free -= 1
        } else {
            await withCheckedContinuation { waiting.append($0) }
        }
    }

    func leave() {
        if waiting.isEmpty { free += 1 } else { waiting.removeFirst().resume() }
    }
}

/// Runs blocking code on a thread of its own.
package func onThread<Result: Sendable>(_ body: @escaping @Sendable () throws -> Result) async throws -> Result {
    try await Watchdog.onThread(Test.current?.name ?? "a test", body)
}
