import ArgumentParser
import AsyncIO
import Glibc
import Synchronization

/// `asyncio run`.
struct Run: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Run commands side by side, so many at once.",
        discussion: """
            Each argument after -- is one command for /bin/sh. Without any, commands are
            read from --from FILE or from standard input, one a line; empty lines and
            those that begin with # are skipped. The list is read to its end first.

            EXAMPLES
              asyncio run -- 'make lib' 'make docs' 'sleep 1; echo done'
              asyncio run --jobs 8 --timeout 2m --from commands.txt
              ls *.png | sed 's/.*/optipng "&"/' | asyncio run --stop-on-failure

            A terminal shows one line that tells how far it is; anything else gets one
            line for each job that has ended. What a job writes is shown if it fails (or
            with --show-output in any case), each line after the job's number: the last of
            it, up to --output-limit. What has failed is listed at the end.

            Jobs have no input and no terminal, and each is a session of its own. One whose
            time is over gets SIGTERM, and SIGKILL after the --grace time, and so does all
            that it has started. Ctrl-C ends all of them that way; a second Ctrl-C at once.

            EXIT CODES
              0     every job has ended with 0
              1     some have failed; or the list cannot be read
              130   interrupted by Ctrl-C (143 by SIGTERM, 129 by SIGHUP)
            """)

    /// What a failure does to the others.
    enum OnFailure: String, EnumerableFlag {
        case keepGoing, stopOnFailure

        static func help(for value: OnFailure) -> ArgumentHelp? {
            switch value {
            case .keepGoing: "Run all jobs, whatever fails."
            case .stopOnFailure: "End what runs when a job has failed, and begin no more."
            }
        }
    }

    @Option(name: .shortAndLong, help: "How many run at once; as a default, as many as there are processors.")
    var jobs: Int?

    @Option(help: ArgumentHelp("How long a job may take: 90, 1.5s, 500ms, 2m, 1h.", valueName: "duration"))
    var timeout: TimeSpan?

    @Option(help: ArgumentHelp("How long a job may take to end after SIGTERM.", valueName: "duration"))
    var grace = TimeSpan(seconds: 5)

    @Flag(exclusivity: .exclusive) var onFailure = OnFailure.keepGoing

    @Flag(help: "Show what jobs write also if they do not fail.")
    var showOutput = false

    @Option(help: ArgumentHelp("How much of a job's output is kept.", valueName: "bytes"))
    var outputLimit = 65_536

    @Option(help: ArgumentHelp("A file with commands; - is standard input.", valueName: "file"))
    var from: String?

    @Option(help: "How the loop asks the system.")
    var driver = DriverChoice.auto

    @OptionGroup var inspection: InspectOption

    @Argument(
        parsing: .postTerminator,
        help: ArgumentHelp("The commands, after --: each is one for /bin/sh.", valueName: "commands"))
    var commands: [String] = []

    func validate() throws {
        if let jobs, !(1...1024).contains(jobs) { throw ValidationError("--jobs is a number from 1 to 1024.") }
        if let timeout, timeout.seconds <= 0 { throw ValidationError("--timeout is a span of time above 0: 30s, 2m.") }
        guard (0...1 << 30).contains(outputLimit) else {
            throw ValidationError("--output-limit is a number of bytes from 0 to \(1 << 30).")
        }
        guard commands.isEmpty || from == nil else {
            throw ValidationError("Commands come from --from or from behind --, and not from both.")
        }
        if commands.isEmpty && from == nil && isatty(STDIN_FILENO) == 1 {
            throw ValidationError("There is nothing to run: write commands behind --, or pipe them in, one a line.")
        }
    }

    func run() throws {
        inspection.apply()
        let options = EventLoop.Options(name: "run", driver: driver, interrupts: [])
        let outcome = try EventLoop.run(options: options) {
            let loop = try EventLoop.here()
            return try await perform(on: loop)
        }
        switch outcome {
        case .done(let hasFailures): if hasFailures { throw ExitCode(1) }
        case .interrupted(let signal): throw ExitCode(128 + signal.rawValue)
        }
    }

    private enum Outcome: Sendable {
        case done(hasFailures: Bool)
        case interrupted(Signal)
    }

    private func perform(on loop: EventLoop) async throws -> Outcome {
        let stream = try await StandardStream.open()
        let interruption = try Interruption(on: loop)
        defer { interruption.close() }
        let reading = loop.submit(name: "list of commands") {
            commands.isEmpty ? try await CommandList.read(from, or: stream) : commands
        }
        interruption.first { reading.cancel() }
        let list: [String]
        do { list = try await reading.value } catch let error {
            if let signal = interruption.signal { return .interrupted(signal) }
            throw error
        }

        let display = RunDisplay(total: list.count, on: stream, loop: loop)
        let runner = JobRunner(settings, showing: display, on: loop)
        let drawing = loop.submit(name: "display") { try await display.drawAgain() }
        let work = loop.submit(name: "jobs") { try await runner.run(list) }
        interruption.first {
            work.cancel()
            loop.spawn(name: "display") { await display.say("interrupted: ending what runs") }
        }
        interruption.second { runner.kill() }
        let result: Result<Void, any Error>
        do { result = .success(try await work.value) } catch { result = .failure(error) }
        drawing.cancel()
        await display.finish()
        if let signal = interruption.signal { return .interrupted(signal) }
        try result.get()
        return .done(hasFailures: display.hasFailures)
    }

    private var settings: JobRunner.Settings {
        JobRunner.Settings(
            atOnce: jobs ?? LoopGroup.usableCores, timeout: timeout, grace: grace, outputLimit: outputLimit,
            showsAll: showOutput, stopsOnFailure: onFailure == .stopOnFailure)
    }
}
