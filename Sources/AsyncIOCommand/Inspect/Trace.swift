import ArgumentParser
import AsyncIO
import AsyncIOInspection
import Glibc

/// `asyncio trace`.
struct Trace: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "trace",
        abstract: "Record what a process does, as a timeline.",
        discussion: """
            The file is a page for browsers or, with a name that ends in .json, trace
            events for Perfetto and Chrome. A command is recorded from its start, until
            its end or --for so long; what it is given and writes is not touched, and its
            exit code is that of this command.

            EXAMPLES
              asyncio trace 1234 --for 5s -o out.html
              asyncio trace 1234 -o out.json       then open it in ui.perfetto.dev
              asyncio trace -o out.html -- ./server --port 8000
            """)

    @Argument(help: ArgumentHelp("The process.", valueName: "pid"))
    var process: Int32?

    @Option(
        name: .customLong("for"),
        help: ArgumentHelp("How long: 5s, 200ms, 2m; of a process, 5 s if it is not said.", valueName: "duration"))
    var time: TimeSpan?

    @Option(name: .shortAndLong, help: ArgumentHelp("Where it is written.", valueName: "file"))
    var output = "trace.html"

    @Argument(
        parsing: .postTerminator,
        help: ArgumentHelp("A command that is started, after --, with its arguments.", valueName: "command"))
    var command: [String] = []

    func validate() throws {
        if let time, time.seconds < 0.001 || time.duration > InspectionRequest.longestTrace {
            throw ValidationError("--for is a span of time, at least 1ms and at most an hour.")
        }
        guard (process == nil) != command.isEmpty else {
            throw ValidationError("Name a process, or a command after --.")
        }
    }

    func run() throws {
        if let process { return try recordProcess(process) }
        // Ctrl-C is for the command, at the same terminal.
        let options = EventLoop.Options(name: "trace", interrupts: [])
        let code = try EventLoop.run(options: options) { try await recordCommand() }
        if code != 0 { throw ExitCode(code) }
    }

    private func recordProcess(_ process: Int32) throws {
        let span = time?.duration ?? .seconds(5)
        try EventLoop.run(options: EventLoop.Options(name: "trace")) {
            let attachment = try await Attachment.open(process)
            defer { attachment.close() }
            try await save(try await attachment.trace(for: span, form))
        }
    }

    private func save(_ trace: [UInt8]) async throws {
        try await File.writeAll(output, trace)
        Console.complain("trace: \(output) (\(Texts.count(trace.count)) bytes)")
    }

    private var form: TraceForm { output.hasSuffix(".json") ? .json : .html }

    // MARK: A command

    private func recordCommand() async throws -> Int32 {
        try await withTemporaryFolder { folder in
            // It may start others, of which each would write a file.
            let file = "\(folder)/%p.\(form.rawValue)"
            let environment = ProcessEnvironment.inherit(adding: ["ASYNCIO_INSPECT": "1", "ASYNCIO_TRACE": file])
            let words = Command(command[0], Array(command.dropFirst()), environment: environment)
            let handlers = try [Signal.interrupt, .quit].map { try EventLoop.here().onSignal($0) {} }
            defer { handlers.forEach { $0.cancel() } }
            let child = try await Process.spawn(words)
            let passing = try [Signal.terminate, .hangup].map { signal in
                try EventLoop.here().onSignal(signal) { _ = try? child.signal(signal) }
            }
            defer { passing.forEach { $0.cancel() } }
            let isSaved = try await saveInTime(child)
            let status = try await child.wait()
            if !isSaved, try await !collect("\(folder)", child.id) {
                let reason = "it has run no loop, or not to its end"
                Console.complain("trace: \(words) \(status), and has left no trace: \(reason)")
                return status.isSuccess ? 1 : status.shellCode
            }
            return status.shellCode
        }
    }

    /// Fetches the trace after the time that was asked for; false if the command has ended before, or none was.
    private func saveInTime(_ child: Process) async throws -> Bool {
        guard let time else { return false }
        do {
            _ = try await withTimeout(time.duration) { try await child.wait() }
            return false
        } catch is TimeoutError {
            do {
                let attachment = try await Attachment.open(child.id)
                defer { attachment.close() }
                try await save(try await attachment.endTrace(form))
                return true
            } catch let error as CannotInspect {
                Console.complain("trace: \(error); the whole of its trace will be written when it has ended")
                return false
            }
        }
    }

    /// Takes what the processes have left; false if that is nothing.
    private func collect(_ folder: String, _ child: Int32) async throws -> Bool {
        var traces: [(process: Int32, path: String)] = []
        for try await entry in Folder.entries(at: folder) {
            let parts = entry.name.split(separator: ".")
            guard parts.count == 2, parts[1] == form.rawValue, let process = parts.first.flatMap({ Int32($0) }) else {
                continue
            }
            traces.append((process, entry.path.string))
        }
        // The command's own is the one; without that, as under `swift run`, the only one.
        let own = traces.first { $0.process == child } ?? (traces.count == 1 ? traces[0] : nil)
        for trace in traces {
            var path = output
            if trace.path != own?.path {
                let ending = ".\(form.rawValue)"
                let name = output.hasSuffix(ending) ? output.dropLast(ending.count) : output[...]
                path = "\(name)-\(trace.process)\(ending)"
            }
            let bytes = try await File.readAll(trace.path)
            try await File.writeAll(path, bytes)
            Console.complain("trace: \(path) (\(Texts.count(bytes.count)) bytes)")
        }
        return !traces.isEmpty
    }
}
