import ArgumentParser
import AsyncIO

/// The command `asyncio`.
@main
struct AsyncIOCommand: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "asyncio", abstract: "An event loop for Swift, to try and to look at.")
}
