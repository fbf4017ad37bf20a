import CAsyncIO
import Glibc

/// A signal of signal(7), by its number: `SIGHUP`.
public struct Signal: RawRepresentable, Hashable, Comparable, Sendable {
    /// The number.
    public let rawValue: Int32

    private init(number: Int32) { rawValue = number }

    /// What the kernel says that a process was ended by: one of its 64.
    init(kernel number: Int32) { self.init(number: number) }

    /// The signal with a number; nil for one that no program can send or have: less than 1, more than 64, and those
    /// between that the C library keeps for itself.
    public init?(rawValue: Int32) {
        guard 1..<32 ~= rawValue || Self.realTimeNumbers ~= rawValue else { return nil }
        self.rawValue = rawValue
    }

    private static var realTimeNumbers: ClosedRange<Int32> { __libc_current_sigrtmin()...__libc_current_sigrtmax() }

    /// SIGHUP: the terminal is gone. Servers read their configuration again.
    public static let hangup = Signal(number: SIGHUP)
    /// SIGINT: Ctrl-C.
    public static let interrupt = Signal(number: SIGINT)
    /// SIGQUIT: Ctrl-\.
    public static let quit = Signal(number: SIGQUIT)
    /// SIGABRT: what abort(3) raises.
    public static let abort = Signal(number: SIGABRT)
    /// SIGKILL: ends a process; nobody can listen to it.
    public static let kill = Signal(number: SIGKILL)
    /// SIGUSR1: the program's own.
    public static let user1 = Signal(number: SIGUSR1)
    /// SIGUSR2: the program's own.
    public static let user2 = Signal(number: SIGUSR2)
    /// SIGPIPE: a write that nobody reads. The streams of this package do not raise it.
    public static let pipe = Signal(number: SIGPIPE)
    /// SIGALRM: what alarm(2) sends.
    public static let alarm = Signal(number: SIGALRM)
    /// SIGTERM: the request to end. What service managers send.
    public static let terminate = Signal(number: SIGTERM)
    /// SIGCHLD: a child has ended or stopped.
    public static let child = Signal(number: SIGCHLD)
    /// SIGCONT: a stopped process goes on.
    public static let `continue` = Signal(number: SIGCONT)
    /// SIGSTOP: stops a process; nobody can listen to it.
    public static let stop = Signal(number: SIGSTOP)
    /// SIGTSTP: Ctrl-Z.
    public static let terminalStop = Signal(number: SIGTSTP)
    /// SIGTTIN: a process in the background has read from its terminal.
    public static let terminalInput = Signal(number: SIGTTIN)
    /// SIGTTOU: a process in the background has written to its terminal.
    public static let terminalOutput = Signal(number: SIGTTOU)
    /// SIGWINCH: the terminal has another size.
    public static let windowChange = Signal(number: SIGWINCH)

    /// SIGRTMIN and up to 30 more, as signal(7) counts them; nil for an offset that leads beyond SIGRTMAX.
    public static func realTime(_ offset: Int) -> Signal? {
        let numbers = realTimeNumbers
        guard 0..<numbers.count ~= offset else { return nil }
        return Signal(number: numbers.lowerBound &+ Int32(truncatingIfNeeded: offset))
    }

    /// By number.
    public static func < (left: Signal, right: Signal) -> Bool { left.rawValue < right.rawValue }

    private static let names: [Int32: String] = [
        SIGHUP: "HUP", SIGINT: "INT", SIGQUIT: "QUIT", SIGILL: "ILL", SIGTRAP: "TRAP", SIGABRT: "ABRT", SIGBUS: "BUS",
        SIGFPE: "FPE", SIGKILL: "KILL", SIGUSR1: "USR1", SIGSEGV: "SEGV", SIGUSR2: "USR2", SIGPIPE: "PIPE",
        SIGALRM: "ALRM", SIGTERM: "TERM", SIGSTKFLT: "STKFLT", SIGCHLD: "CHLD", SIGCONT: "CONT", SIGSTOP: "STOP",
        SIGTSTP: "TSTP", SIGTTIN: "TTIN", SIGTTOU: "TTOU", SIGURG: "URG", SIGXCPU: "XCPU", SIGXFSZ: "XFSZ",
        SIGVTALRM: "VTALRM", SIGPROF: "PROF", SIGWINCH: "WINCH", SIGIO: "IO", SIGPWR: "PWR", SIGSYS: "SYS",
    ]
}

extension Signal: LosslessStringConvertible {
    /// `SIGHUP`, `SIGRTMIN+3`.
    public var description: String {
        if let name = Self.names[rawValue] { return "SIG\(name)" }
        let offset = rawValue &- Self.realTimeNumbers.lowerBound
        // Of those that the C library keeps for itself, as the kernel may say of a process that was ended by one.
        if offset < 0 { return "signal \(rawValue)" }
        return offset == 0 ? "SIGRTMIN" : "SIGRTMIN+\(offset)"
    }

    /// The signal with a name, with or without `SIG`, in capitals or not, or with a number: what kill(1) takes.
    public init?(_ description: String) {
        var name = description.uppercased()
        if name.hasPrefix("SIG") { name.removeFirst(3) }
        if let number = Int32(name) {
            self.init(rawValue: number)
        } else if let number = Self.names.first(where: { $0.value == name })?.key {
            self.init(number: number)
        } else if name == "RTMIN" {
            self.init(number: Self.realTimeNumbers.lowerBound)
        } else if name.hasPrefix("RTMIN+"), let offset = Int(name.dropFirst(6)), let signal = Self.realTime(offset) {
            self = signal
        } else {
            return nil
        }
    }
}

extension Signal {
    /// Why nobody can listen to it; nil if one can.
    var reasonAgainst: String? {
        switch rawValue {
        case SIGKILL, SIGSTOP: "no process can catch it"
        case SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS:
            "it reports a fault of the thread that runs, which would meet it again and again"
        default: nil
        }
    }

    /// Its bit in a set of signals.
    var bit: SignalListener.Set { 1 << SignalListener.Set(rawValue &- 1) }

    /// The first of a set, which is not empty.
    init(firstOf set: SignalListener.Set) { rawValue = Int32(truncatingIfNeeded: set.trailingZeroBitCount) &+ 1 }
}
