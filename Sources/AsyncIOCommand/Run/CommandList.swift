import AsyncIO

/// The commands of a run, where they are not arguments: one a line, but for empty lines and those that begin with `#`.
enum CommandList {
    /// The longest command: what the system takes as one argument (execve(2), MAX_ARG_STRLEN).
    static let longest = 131_071
    /// The most commands of one run.
    static let most = 1_000_000

    /// Reads a list to its end: that of a file, or of the stream where there is none.
    static func read(_ path: String?, or input: StandardStream) async throws -> [String] {
        guard let path, path != "-" else { return try await read(BufferedReader(input).lines(limit: longest)) }
        return try await read(File.lines(of: path, limit: longest))
    }

    private static func read<Lines: AsyncSequence>(_ lines: Lines) async throws -> [String]
    where Lines.Element == String {
        var commands: [String] = []
        for try await line in lines {
            let command = line.trimmed
            if command.isEmpty || command.hasPrefix("#") { continue }
            guard commands.count < most else { throw TooManyCommands() }
            commands.append(command)
        }
        return commands
    }

    private struct TooManyCommands: Error, CustomStringConvertible {
        var description: String { "more than \(most) commands: run them in parts" }
    }
}
