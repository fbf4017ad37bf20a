import ArgumentParser

/// A part of the command that this build does not have.
struct MissingTrait: Error, CustomStringConvertible {
    let what: String
    let trait: String

    var description: String {
        "\(what) is not part of this build; this one has it: swift run --traits \(trait) asyncio …"
    }
}

#if !HTTP
/// `asyncio serve files`, where it says how to get it.
struct ServeFiles: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "files", abstract: "A web server for the files of a folder (in builds with --traits HTTP).")

    @Argument(parsing: .captureForPassthrough) var rest: [String] = []

    func run() throws { throw MissingTrait(what: "serve files", trait: "HTTP,TLS") }
}

/// `asyncio fetch`, where it says how to get it.
struct Fetch: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Fetch files from the web, many at once (in builds with --traits HTTP).")

    @Argument(parsing: .captureForPassthrough) var rest: [String] = []

    func run() throws { throw MissingTrait(what: "fetch", trait: "HTTP,TLS") }
}
#endif
