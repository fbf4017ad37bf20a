import ArgumentParser
import AsyncIO
import AsyncIOInspection

/// `asyncio trace`.
struct Trace: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "trace",
        abstract: "Record what a process does, as a timeline.",
        discussion: """
            The file is a page for browsers or, with a name that ends in .json, trace
            events for Perfetto and Chrome.

            EXAMPLES
              asyncio trace 1234 --for 5s -o out.html
              asyncio trace 1234 -o out.json       then open it in ui.perfetto.dev
            """)

    @Argument(help: ArgumentHelp("The process.", valueName: "pid"))
    var process: Int32

    @Option(name: .customLong("for"), help: ArgumentHelp("How long: 5s, 200ms, 2m.", valueName: "duration"))
    var time = TimeSpan(seconds: 5)

    @Option(name: .shortAndLong, help: ArgumentHelp("Where it is written.", valueName: "file"))
    var output = "trace.html"

    func validate() throws {
        guard time.seconds >= 0.001, time.duration <= InspectionRequest.longestTrace else {
            throw ValidationError("--for is a span of time, at least 1ms and at most an hour.")
        }
    }

    func run() throws {
        try EventLoop.run(options: EventLoop.Options(name: "trace")) {
            let attachment = try await Attachment.open(process)
            defer { attachment.close() }
            let trace = try await attachment.trace(for: time.duration, form)
            try await File.writeAll(output, trace)
            Console.say("trace: \(Texts.count(trace.count)) bytes in \(output)")
        }
    }

    private var form: TraceForm { output.hasSuffix(".json") ? .json : .html }
}
