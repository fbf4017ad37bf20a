import AsyncIOKernel
package import AsyncIOLoop
package import AsyncIOTesting
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
    /// What the loop's operations and its clock are made of.
    package enum Ground: Sendable {
        /// The kernel and its clock.
        case real(DriverChoice)
        /// Time that jumps; no network.
        case virtualTime
        /// A host of a world in bad weather, in which this seed decides.
        case simulated(seed: UInt64)
    }

    package let ground: Ground
    package let caller: Caller

    package init(driver: DriverChoice, caller: Caller) {
        ground = .real(driver)
        self.caller = caller
    }

    /// Time that jumps, or a world with it: the body runs on the loop.
    private init(_ ground: Ground) {
        self.ground = ground
        caller = .onLoop
    }

    /// What a loop that the test makes itself is to be driven by.
    package var driver: DriverChoice {
        if case .real(let driver) = ground { driver } else { .auto }
    }

    package var isSimulated: Bool {
        if case .simulated = ground { true } else { false }
    }

    package var testDescription: String {
        switch ground {
        case .real(let driver): "\(driver.rawValue), called \(caller.rawValue)"
        case .virtualTime: "virtual time"
        case .simulated(let seed): "simulated, ASYNCIO_SEED=\(seed)"
        }
    }

    /// The real drivers, for bodies with blocking peers, threads or processes of their own.
    package static let all = Drivers.available.flatMap { driver in
        Caller.allCases.map { Setting(driver: driver, caller: $0) }
    }

    /// A few seeds, the same each time, or the one that `ASYNCIO_SEED` asks for.
    package static let simulated = (Randomness.wanted.map { [$0] } ?? [1, 2, 3]).map { Setting(.simulated(seed: $0)) }

    /// For bodies that do everything by their loop.
    package static let everywhere = all + simulated

    /// As ``everywhere``, for bodies that have to run on their loop.
    package static let onLoop = onRealLoop + simulated

    /// As ``all``, for bodies that have to run on their loop.
    package static let onRealLoop = Drivers.available.map { Setting(driver: $0, caller: .onLoop) }

    /// For bodies that let hours pass.
    package static let timeless = virtual + simulated

    /// As ``timeless``, for bodies with threads of their own, or that count on the order in which tasks run.
    package static let virtual = [Setting(.virtualTime)]
}

/// Runs a test's body with a loop; whatever hangs ends the process with the test's name after a minute.
///
/// A simulated world has faults, unless the body is one that looks at each single call.
@discardableResult
package func withLoop<Result: Sendable>(
    _ setting: Setting, reports: Errors = Errors(), limit: Duration = .seconds(400),
    faults: SimulationFaults = .stormy, _ body: @escaping @Sendable (EventLoop) async throws -> Result
) async throws -> Result {
    await Turnstile.shared.enter()
    defer { Task { await Turnstile.shared.leave() } }
    let name = "\(Test.current?.name ?? "a test") (\(setting.testDescription))"
    switch (setting.ground, setting.caller) {
    case (.virtualTime, _):
        return try await withVirtualTime(name, errors: reports, limit: limit, body)
    case (.simulated(let seed), _):
        return try await SimulatedProgram.run(seed: seed, faults, name: name, errors: reports, limit: limit, body)
    case (.real(let driver), .onLoop):
        let options = EventLoop.Options.guest(driver, name: "test", errors: reports)
        return try await Guest.run(options, name: name, limit: limit, body)
    case (.real(let driver), .elsewhere):
        let options = EventLoop.Options.guest(driver, name: "test", errors: reports)
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
