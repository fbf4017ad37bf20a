import AsyncIOKernel
import Glibc

/// What the command says to people.
enum Console {
    /// Writes a line to standard output, at once: whoever reads a pipe waits for it. A pipe that nobody reads any more,
    /// as after `| head`, costs nothing but the text; above all no SIGPIPE, which would end a server.
    static func say(_ line: String = "") {
        fflush(nil)
        try? SystemCall.writeAll(Array((line + "\n").utf8), to: STDOUT_FILENO)
    }

    /// Writes to a terminal as it is.
    static func draw(_ text: String) {
        fflush(nil)
        try? SystemCall.writeAll(Array(text.utf8), to: STDOUT_FILENO)
    }

    /// Says on standard error what standard output is not for.
    static func complain(_ line: String) { try? SystemCall.writeAll(Array((line + "\n").utf8), to: STDERR_FILENO) }

    /// The last line of a server. On a terminal it stands below the `^C` that ended it.
    static func sayGoodbye(_ line: String) {
        say(isatty(STDOUT_FILENO) == 1 ? "\n" + line : line)
    }

    /// Whether standard output is a terminal that can draw a line again.
    static var isTerminal: Bool { isatty(STDOUT_FILENO) == 1 && environment("TERM") != "dumb" }

    /// Whether colours are welcome: on a terminal, unless the user says no (no-color.org).
    static var wantsColour: Bool {
        isTerminal && !isSet("NO_COLOR")
    }

    private static func isSet(_ name: String) -> Bool { environment(name)?.isEmpty == false }

    private static func environment(_ name: String) -> String? {
        guard let value = unsafe getenv(name) else { return nil }
        return unsafe String(cString: value)
    }
}
