import ArgumentParser
import AsyncIO
import AsyncIOInspection

/// `asyncio tour`.
struct Tour: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Explain the event loop by running it.",
        discussion: """
            Four small chapters, some two seconds in all: gulls that carry letters one
            by one, concurrently, and with one among them that blocks the loop; and the
            life of a task that reads from the network. The timelines are drawn from
            what the loop's instruments have recorded.

            EXAMPLES
              asyncio tour
              asyncio tour | less          without colours
              NO_COLOR=1 asyncio tour      the same on a terminal
              asyncio tour --trace tour.html
                                           also as a page for a browser
            """)

    @Option(help: ArgumentHelp("Write a timeline of the whole tour there, as a page.", valueName: "file"))
    var trace: String?

    func run() throws {
        let recorder = Recorder()
        let paint = Paint(isOn: Console.wantsColour)
        do {
            let options = EventLoop.Options(name: "tour", interruptEnding: .error, instrument: recorder)
            try EventLoop.run(options: options) {
                let loop = try EventLoop.here()
                if trace != nil { Inspection.startTrace() }
                try await Guide(loop: loop, recorder: recorder, paint: paint).lead()
                if let trace {
                    let recording = await Inspection.stopTrace()
                    try await File.writeAll(trace, recording.html(title: "asyncio tour"))
                    Console.say("The timeline of all that is in \(trace).")
                }
            }
        } catch EventLoopError.interrupted(let signal) {
            throw ExitCode(128 + signal)
        }
    }
}

extension EventLoop {
    /// The loop that runs here.
    static func here() throws -> EventLoop {
        guard let current else { throw EventLoopError.noLoop }
        return current
    }
}
