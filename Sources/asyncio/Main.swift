import AsyncIOCommand

/// The command `asyncio`: all of it is a library's, for its tests and simulations.
@main
enum Main {
    static func main() { CommandLineTool.start() }
}
