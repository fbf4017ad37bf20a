import AsyncIO
import AsyncIOKernel
import AsyncIOLoop
import Testing

/// The drivers that every test here runs on.
enum Drivers {
    static let all: [DriverChoice] = [.epoll]
}

/// Where the test's own task runs, seen from the loop that does the work.
enum Caller: String, CaseIterable, Sendable {
    /// On the loop: `EventLoop.run` on a plain thread, as a guest.
    case onLoop
    /// On Swift's own threads: each operation visits a ``LoopThread``.
    case elsewhere
}

/// What a test's body is repeated for.
struct Setting: Sendable, CustomTestStringConvertible {
    let driver: DriverChoice
    let caller: Caller

    var testDescription: String { "\(driver.rawValue), called \(caller.rawValue)" }

    static let all = Drivers.all.flatMap { driver in Caller.allCases.map { Setting(driver: driver, caller: $0) } }
}

/// Runs a test's body with a loop; whatever hangs ends the process with the test's name after a minute.
func withLoop<Result: Sendable>(
    _ setting: Setting, reports: Reports = Reports(), seconds: Int = 400,
    _ body: @escaping @Sendable (EventLoop) async throws -> Result
) async throws -> Result {
    await Gate.shared.enter()
    defer { Task { await Gate.shared.leave() } }
    let watchdog = Watchdog("\(Test.current?.name ?? "a test") (\(setting.testDescription))", seconds: seconds)
    defer { watchdog.stop() }
    let options = EventLoop.Options(
        name: "test", driver: setting.driver, mode: .guest, interrupts: [], errorHandler: reports.handler)
    switch setting.caller {
    case .onLoop:
        return try await onThread {
            try EventLoop.run(options: options) {
                guard let loop = EventLoop.current else { throw EventLoopError.noLoop }
                return try await body(loop)
            }
        }
    case .elsewhere:
        let thread = try LoopThread(options: options)
        do {
            let result = try await body(thread.loop)
            await thread.shutdown()
            return result
        } catch {
            await thread.shutdown()
            throw error
        }
    }
}

/// Lets few tests run at a time, so that a watchdog measures its own test and not all the others.
private actor Gate {
    static let shared = Gate()
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
func onThread<Result: Sendable>(_ body: @escaping @Sendable () throws -> Result) async throws -> Result {
    try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<Result, any Error>) in
        do {
            let thread = try SystemThread.start(name: "test") {
                let result: Swift.Result<Result, any Error> = Swift.Result { try body() }
                continuation.resume(with: result)
            }
            thread.detach()
        } catch {
            continuation.resume(throwing: error)
        }
    }
}
