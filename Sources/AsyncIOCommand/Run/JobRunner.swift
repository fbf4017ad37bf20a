import AsyncIO
import Glibc
import Synchronization

/// Runs jobs, so many at once, each in a session of its own: whatever a job starts is ended with it.
final class JobRunner: Sendable {
    struct Settings: Sendable {
        let atOnce: Int
        let timeout: TimeSpan?
        let grace: TimeSpan
        let outputLimit: Int
        let showsAll: Bool
        let stopsOnFailure: Bool
    }

    /// How long a pipe is still read that a job's children keep open after its end.
    private static let outputGrace = Duration.milliseconds(250)

    private let settings: Settings
    private let display: RunDisplay
    private let loop: EventLoop
    private let state = Mutex(State())

    private struct State {
        var running: [Int: Process] = [:]
        /// Nobody has time any more: what starts just now neither.
        var kills = false
    }

    init(_ settings: Settings, showing display: RunDisplay, on loop: EventLoop) {
        self.settings = settings
        self.display = display
        self.loop = loop
    }

    /// Runs them all, or until the first failure if that stops the run. A cancelled task ends those that run, and
    /// throws `CancellationError`.
    func run(_ commands: [String]) async throws {
        let jobs = commands.enumerated().lazy.map { Job(number: $0.offset + 1, text: $0.element) }
        do {
            _ = try await gatherEach(jobs, limit: settings.atOnce) { [self] in try await run($0) }
        } catch is FirstFailure {}
    }

    /// Ends all that still run, at once.
    func kill() {
        let running = state.withLock { state in
            state.kills = true
            return Array(state.running.values)
        }
        for process in running { Self.kill(process) }
    }

    /// One that has ended meanwhile needs no signal.
    private static func kill(_ process: Process) { _ = try? process.signal(.kill, to: .group) }

    private func add(_ process: Process, _ number: Int) {
        let kills = state.withLock { state in
            state.running[number] = process
            return state.kills
        }
        if kills { Self.kill(process) }
    }

    private struct FirstFailure: Error {}

    private func run(_ job: Job) async throws {
        display.began(job)
        let (began, output) = (loop.now, JobOutput(limit: settings.outputLimit))
        let ending = await perform(job, output)
        let report = JobReport(job: job, ending: ending, time: TimeSpan(began.duration(to: loop.now)))
        await display.ended(report, report.isFailure || settings.showsAll ? output.marked(job.mark) : [])
        if report.isFailure && settings.stopsOnFailure { throw FirstFailure() }
    }

    private func perform(_ job: Job, _ output: JobOutput) async -> JobReport.Ending {
        // Without a terminal of its own: a job that asks for a password fails, instead of waiting for ever.
        var command = Command.shell(job.text)
        command.group = .session
        let termination = Termination(grace: settings.grace.duration, scope: .group)
        defer { state.withLock { $0.running[job.number] = nil } }
        do {
            return try await Process.spawn(
                command, input: .null, output: .pipe, error: .merge, termination: termination
            ) { process in
                add(process, job.number)
                return try await attend(process, termination, output)
            }
        } catch {
            return error is CancellationError || Task.isCancelled ? .stopped : .notStarted("\(error)")
        }
    }

    /// Reads what it writes until it has ended, or its time is over.
    private func attend(
        _ process: Process, _ termination: Termination, _ output: JobOutput
    ) async throws -> JobReport.Ending {
        try await withThrowingTaskGroup(of: Void.self) { group in
            if let stream = process.output { group.addTask { await output.collect(from: stream) } }
            let ending = try await end(of: process, termination)
            // Children that it has left behind may keep the pipe open, and go on.
            group.addTask { try await self.loop.sleep(for: Self.outputGrace) }
            try await group.next()
            group.cancelAll()
            return ending
        }
    }

    private func end(of process: Process, _ termination: Termination) async throws -> JobReport.Ending {
        guard let timeout = settings.timeout else { return .ended(try await process.wait()) }
        do {
            return .ended(try await withTimeout(timeout.duration) { try await process.wait() })
        } catch is TimeoutError {
            // What it says while it ends is still read.
            try await process.terminate(termination)
            return .timedOut(timeout)
        }
    }
}
