import Glibc

/// What the command says to people.
enum Console {
    /// Writes a line to standard output, at once: whoever reads a pipe waits for it.
    static func say(_ line: String = "") {
        print(line)
        fflush(nil)
    }

    /// The last line of a server. On a terminal it stands below the `^C` that ended it.
    static func sayGoodbye(_ line: String) {
        say(isatty(STDOUT_FILENO) == 1 ? "\n" + line : line)
    }

    /// Whether colours are welcome: on a terminal, unless the user says no (no-color.org).
    static var wantsColour: Bool {
        guard isatty(STDOUT_FILENO) == 1 else { return false }
        return !isSet("NO_COLOR") && environment("TERM") != "dumb"
    }

    private static func isSet(_ name: String) -> Bool { environment(name)?.isEmpty == false }

    private static func environment(_ name: String) -> String? {
        guard let value = unsafe getenv(name) else { return nil }
        return unsafe String(cString: value)
    }
}
