import ArgumentParser
import AsyncIO
import AsyncIOInspection

/// `asyncio pstree`.
struct Pstree: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "pstree",
        abstract: "Show the tasks of a process as a tree: who has begun whom, and what each waits for.",
        discussion: """
            A task stands below the one that awaits its end; of others it is told who has
            made them. Each line has a task's name and number, for how long it waits or
            runs, what it waits for, and who could let it go on. Tasks that wait for each
            other in a circle are named at the end.

            EXAMPLES
              asyncio pstree 1234
              asyncio pstree 1234 --stacks     with the functions that each is suspended in
            """)

    @Argument(help: ArgumentHelp("The process.", valueName: "pid"))
    var process: Int32

    @Flag(help: "Show where each task is suspended, the innermost function first.")
    var stacks = false

    func run() throws {
        try EventLoop.run(options: EventLoop.Options(name: "pstree")) {
            let attachment = try await Attachment.open(process)
            let tree = try await attachment.tree(stacks: stacks)
            attachment.close()
            let tasks = Texts.count(tree.tasks.count, "task")
            Console.say("\(tree.process) \(Texts.clean(tree.program)): \(tasks)\n\(tree.text())")
        }
    }
}
