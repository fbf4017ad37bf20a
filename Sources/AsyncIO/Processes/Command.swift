/// What to run: a program and its arguments, and the surroundings in which it starts.
///
/// A name without a slash is looked up in the `PATH` of the *child's* environment, as execvp(3) does; where that has
/// none, in `/bin:/usr/bin`. A relative path with a slash is relative to the child's folder. Nothing is given to a
/// shell, so no argument needs quoting; ``shell(_:)`` is for those who want one.
///
/// The child starts with every signal at its default and none blocked, and inherits no descriptor but the standard ones
/// and ``descriptors``, whatever else is open in this process.
///
/// Another user, and limits of resources, are not among the surroundings: posix_spawn(3) cannot set them, and setting
/// them from outside comes too late. Run the program through setpriv(1), runuser(1), prlimit(1) or systemd-run(1).
public struct Command: Sendable, Hashable, CustomStringConvertible {
    /// The program: a path, or a name to look up.
    public var executable: String
    /// Its arguments, without its own name.
    public var arguments: [String]
    /// What it sees as its own name, if that is not ``executable``.
    public var name: String?
    /// Its environment.
    public var environment: ProcessEnvironment
    /// The folder in which it starts; nil: that of this process.
    public var folder: String?
    /// The process group and session that it belongs to.
    public var group: ProcessGroup
    /// Further descriptors: the number in the child, from 3 to ``maximumDescriptor``, and the number here, which has to
    /// stay open until the child was spawned.
    public var descriptors: [Int32: Int32]

    /// The highest number that ``descriptors`` may have in the child.
    public static let maximumDescriptor: Int32 = 1023

    /// Describes a command. Nothing is looked up or run.
    public init(
        _ executable: String, _ arguments: [String] = [], environment: ProcessEnvironment = .inherit,
        folder: String? = nil, group: ProcessGroup = .parents, descriptors: [Int32: Int32] = [:]
    ) {
        self.executable = executable
        self.arguments = arguments
        self.environment = environment
        self.folder = folder
        self.group = group
        self.descriptors = descriptors
    }

    /// A text for `/bin/sh -c`. Whatever is put into it is read by the shell: hand over names of others' choice as
    /// arguments, which the text calls `"$1"`, `"$2"` …
    public static func shell(_ text: String, _ arguments: [String] = []) -> Command {
        Command("/bin/sh", ["-c", text, "sh"] + arguments)
    }

    /// The command as one would type it, at most 200 characters: `grep -c 'two words' file`.
    public var description: String {
        var line = ""
        for word in [executable] + arguments {
            line += (line.isEmpty ? "" : " ") + Self.quoted(word)
            if line.count > 200 { return line.prefix(199) + "…" }
        }
        return line
    }

    private static func quoted(_ word: String) -> String {
        let isPlain = !word.isEmpty && word.utf8.allSatisfy { plainBytes.contains($0) }
        return isPlain
            ? word
            : "'"
                + VisibleText.line(word).split(separator: "'", omittingEmptySubsequences: false)
                .joined(separator: "'\\''") + "'"
    }

    private static let plainBytes = Set(
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789%+,-./:=@_".utf8)
}

/// The environment of a child.
public struct ProcessEnvironment: Sendable, Hashable {
    enum Base: Hashable { case inherited, empty }

    let base: Base
    /// Nil takes a variable away.
    let changes: [String: String?]

    /// That of this process, as it is when the child is spawned.
    ///
    /// No other thread may call setenv(3) at that moment: the C library does not allow it.
    public static let inherit = ProcessEnvironment(base: .inherited, changes: [:])

    /// That of this process with changes; nil takes a variable away.
    public static func inherit(adding changes: [String: String?]) -> ProcessEnvironment {
        ProcessEnvironment(base: .inherited, changes: changes)
    }

    /// These variables and no others. Without a `PATH`, programs are looked for in `/bin:/usr/bin`.
    public static func custom(_ variables: [String: String]) -> ProcessEnvironment {
        ProcessEnvironment(base: .empty, changes: variables.mapValues { $0 })
    }
}

/// The process group and the session of a child (setpgid(2), setsid(2)).
public enum ProcessGroup: Sendable, Hashable {
    /// That of this process: Ctrl-C at the terminal reaches the child, too.
    case parents
    /// A group of its own, which it leads: all that it starts can be ended with it. See ``Termination/Scope/group``. It
    /// is a background job of the terminal: reading from that stops it.
    case own
    /// The group of this number, which has to be in this process's session.
    case joining(Int32)
    /// A session of its own, without a terminal, and in it a group of its own.
    case session

    /// Whether the child leads a group.
    var isOwn: Bool { self == .own || self == .session }
}
