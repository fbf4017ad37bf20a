import CAsyncIO
import Glibc

/// How a process has ended (wait(2)).
public enum ExitStatus: Sendable, Hashable, CustomStringConvertible {
    /// By itself, with a code from 0 to 255.
    case exited(Int32)
    /// By a signal, and whether it has left a core dump.
    case signalled(Signal, coreDumped: Bool)

    init(_ end: casyncio_process_end) {
        let number = Int32(end.number)
        self = end.was_signalled ? .signalled(Signal(kernel: number), coreDumped: end.dumped_core) : .exited(number)
    }

    /// Whether it has exited with 0.
    public var isSuccess: Bool { self == .exited(0) }

    /// What a shell would report: the code, or 128 and the signal's number.
    public var shellCode: Int32 {
        switch self {
        case .exited(let code): code
        case .signalled(let signal, _): 128 &+ signal.rawValue
        }
    }

    /// `exited with 1`, `ended by SIGKILL (Killed)`.
    public var description: String {
        switch self {
        case .exited(let code): return "exited with \(code)"
        case .signalled(let signal, let coreDumped):
            // A text of the C library's own, which this thread may read until it asks for the next.
            let name = unsafe strsignal(signal.rawValue).map { unsafe " (\(String(cString: $0)))" } ?? ""
            return "ended by \(signal)\(name)\(coreDumped ? ", core dumped" : "")"
        }
    }
}

/// How a process is ended that would go on.
public struct Termination: Sendable, Hashable {
    /// Who gets the signals.
    public enum Scope: Sendable, Hashable {
        /// The process alone.
        case process
        /// All of the group that it leads: ``ProcessGroup/own`` or ``ProcessGroup/session``. Needs Linux 6.9 for those
        /// that outlive the process itself.
        case group
    }

    /// What it gets first, as a request.
    public var signal: Signal
    /// How long it may take to follow the request; then comes SIGKILL. Zero: at once.
    public var grace: Duration
    /// Who gets the signals. Of a group, whatever is left gets SIGKILL when the process has ended.
    public var scope: Scope

    /// SIGTERM, five seconds, SIGKILL, for the process alone.
    public init(signal: Signal = .terminate, grace: Duration = .seconds(5), scope: Scope = .process) {
        self.signal = signal
        self.grace = grace
        self.scope = scope
    }

    /// Throws ``IOError`` with `EINVAL` if a child of the command could not be ended so.
    func check(_ command: Command) throws(IOError) {
        guard scope == .group, !command.group.isOwn else { return }
        throw IOError(
            .invalidArgument, operation: "spawn", subject: command.executable,
            detail: "its termination is for a group, and it would not lead one: "
                + "give the command the group .own or .session, or the termination the scope .process")
    }
}
