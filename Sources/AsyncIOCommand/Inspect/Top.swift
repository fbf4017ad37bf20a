import ArgumentParser
import AsyncIO
import AsyncIOInspection
import AsyncIOKernel
import Glibc
import Synchronization

/// `asyncio top`.
struct Top: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "top",
        abstract: "Watch the loops and the tasks of a process.",
        discussion: """
            A loop has a line with its turns and jobs in a second, the share of the time in
            which it runs tasks, and its lag: how long a job has waited in the ready queue.
            CPU% is a task's share of a processor since the last look.

            EXAMPLES
              asyncio top 1234
              asyncio top 1234 --every 200ms --sort wait
              asyncio top 1234 --times 1 | head -20     as text

            KEYS
              c w a n    sort by CPU, time of waiting, age, name
              arrows     select a task (also j and k, PgUp, PgDn, Home, End)
              s          where the selected task is suspended
              /          only tasks whose line has these letters; Esc: all
              space      pause
              q          quit, as Ctrl-C

            Where standard output is no terminal, each look is printed as text.
            """)

    @Argument(help: ArgumentHelp("The process.", valueName: "pid"))
    var process: Int32

    @Option(help: ArgumentHelp("How often to look: 1, 200ms, 5s.", valueName: "duration"))
    var every = TimeSpan(seconds: 1)

    @Option(help: "What tasks are sorted by: cpu, wait, age, name.")
    var sort = TopModel.Order.cpu

    @Option(help: "How often to look in all, without a terminal.")
    var times: Int?

    func validate() throws {
        guard every.seconds >= 0.05 else { throw ValidationError("--every is a span of time, at least 50ms.") }
        if let times, times < 1 { throw ValidationError("--times is a number above 0.") }
    }

    func run() throws {
        let options = EventLoop.Options(
            name: "top", interrupts: [.interrupt, .terminate], interruptEnding: .error)
        do {
            try EventLoop.run(options: options) {
                let attachment = try await Attachment.open(process)
                defer { attachment.close() }
                if times == nil && Console.isTerminal {
                    try await TopView(attachment, every: every.duration, order: sort).show()
                } else {
                    try await printLooks(attachment)
                }
            }
        } catch EventLoopError.interrupted {
            // That is how it ends.
        }
    }

    private func printLooks(_ attachment: Attachment) async throws {
        var model = TopModel()
        model.order = sort
        var look = 0
        while true {
            let tree = try await attachment.tree()
            model.take(tree, at: .monotonicNow)
            let height = tree.tasks.count + 2 * tree.loops.count + 10
            let lines = TopScreen(model, columns: 160, rows: height * 4, message: "").lines.map(\.text.trimmedAtEnd)
            let last = lines.lastIndex { !$0.isEmpty } ?? 0
            Console.say((look == 0 ? "" : "\n") + lines[...last].joined(separator: "\n"))
            look += 1
            if look == times { return }
            try await Task.sleep(for: every.duration)
        }
    }
}

extension TopModel.Order: ExpressibleByArgument {}

extension String {
    fileprivate var trimmedAtEnd: String {
        var text = self
        while text.last == " " { text.removeLast() }
        return text
    }
}
