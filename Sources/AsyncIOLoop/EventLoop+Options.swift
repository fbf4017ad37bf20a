import AsyncIOKernel
import CAsyncIO
import Glibc

extension EventLoop {
    /// What a loop is made with. The defaults suit a server.
    public struct Options: Sendable {
        /// What the loop is called.
        public var name: String
        /// The driver to run on.
        public var driver: DriverChoice
        /// How turns are shared out.
        public var fairness: Fairness
        /// Whether plain `Task {}` and the main actor run on this loop as well.
        public var mode: Mode
        /// How many threads ``EventLoop/offload(name:_:)`` may use at most.
        public var blockingThreads: Int
        /// How long cancelled tasks may take at the end.
        public var grace: Duration
        /// The signals that cancel the body; a second one of the kind ends the process at once, unless it comes within
        /// 200 milliseconds: timeout(1) and others send one twice. One to which the program listens itself is its own
        /// meanwhile, and does neither.
        public var interrupts: Interrupts
        /// What becomes of a run whose body throws because a signal cancelled it.
        public var interruptEnding: InterruptEnding
        /// Who is told of errors that nobody awaits.
        public var errorHandler: ErrorHandler
        /// Who watches.
        public var instrument: (any Instrument & Sendable)?

        /// Creates options.
        public init(
            name: String = "main", driver: DriverChoice = .auto, fairness: Fairness = Fairness(),
            mode: Mode = .takeover, blockingThreads: Int = 32, grace: Duration = .seconds(5),
            interrupts: Interrupts = .interrupt, interruptEnding: InterruptEnding = .process,
            errorHandler: ErrorHandler = .standardError,
            instrument: (any Instrument & Sendable)? = nil
        ) {
            self.name = name
            self.driver = driver
            self.fairness = fairness
            self.mode = mode
            self.blockingThreads = max(blockingThreads, 1)
            self.grace = grace
            self.interrupts = interrupts
            self.interruptEnding = interruptEnding
            self.errorHandler = errorHandler
            self.instrument = instrument
        }
    }

    /// How far a loop's reach goes.
    public enum Mode: Sendable {
        /// On the process's main thread, the loop becomes Swift's global and main executor: `Task {}`, actors and
        /// `@MainActor` code run on it. Elsewhere, and where the runtime offers no way, the same as ``guest``.
        case takeover
        /// The loop runs the tasks that prefer it, and their children; all else stays where it was.
        case guest
    }

    /// Signals that end a run in good order.
    ///
    /// One that the process ignores already, since nohup(1) or a shell has started it so, stays ignored.
    public struct Interrupts: OptionSet, Sendable {
        /// One bit for each signal.
        public let rawValue: Int
        /// Wraps bits.
        public init(rawValue: Int) { self.rawValue = rawValue }
        /// SIGINT: Ctrl-C.
        public static let interrupt = Interrupts(rawValue: 1)
        /// SIGTERM: what service managers send.
        public static let terminate = Interrupts(rawValue: 2)

        var signals: [CInt] {
            (contains(.interrupt) ? [SIGINT] : []) + (contains(.terminate) ? [SIGTERM] : [])
        }
    }

    /// How ``EventLoop/run(options:_:)`` ends on the main thread when a signal has cancelled its body, and the body
    /// threw.
    public enum InterruptEnding: Sendable {
        /// The process ends by that signal, as if nobody had handled it, after everything has ended in good order.
        case process
        /// `run` throws ``EventLoopError/interrupted(signal:)``.
        case error
    }

    /// Who is told of errors that nobody awaits, at the moment they happen.
    public struct ErrorHandler: Sendable {
        let handle: @Sendable (UnhandledError) -> Void

        /// Calls a closure, on whatever thread the error occurs.
        public init(_ handle: @escaping @Sendable (UnhandledError) -> Void) { self.handle = handle }

        /// Writes one line to standard error.
        public static let standardError = ErrorHandler { StandardError.write("\($0)") }
    }
}

/// An error that nobody awaits, with the name of the task and the place of its creation.
public struct UnhandledError: Error, CustomStringConvertible {
    /// What went wrong.
    public let error: any Error
    /// The task, or what else failed: `connection 10.0.0.1:53211`.
    public let context: String
    /// Where the task was created, as `file:line`; empty if nobody knows.
    public let place: String

    /// Creates a report.
    public init(_ error: any Error, context: String, place: String = "") {
        self.error = error
        self.context = context
        self.place = place
    }

    /// One line.
    public var description: String {
        place.isEmpty ? "asyncio: \(context): \(error)" : "asyncio: \(context) (\(place)): \(error)"
    }
}

/// What a loop refuses, each with the remedy.
public enum EventLoopError: Error, Equatable, CustomStringConvertible {
    /// `run` was called on a thread where a loop runs already.
    case alreadyRunning
    /// No loop runs on the calling thread, and none was named.
    case noLoop
    /// The loop has been closed.
    case closed(String)
    /// A thread waited for its own loop.
    case wouldDeadlock
    /// A task ignored its cancellation for the whole grace period.
    case ignoredCancellation([String])
    /// A signal ended the run.
    case interrupted(signal: Int32)

    /// One line.
    public var description: String {
        switch self {
        case .alreadyRunning:
            "a loop is running on this thread already; await the work directly, or use spawn for background work"
        case .noLoop:
            "no event loop runs on this thread; call this inside EventLoop.run, or name a loop with the parameter on:"
        case .closed(let name): "the loop \(name) is closed; start another one"
        case .wouldDeadlock:
            "this thread runs the loop that it would wait for; await the task's value instead of calling wait"
        case .ignoredCancellation(let names):
            "cancelled, but still running after the grace period: \(names.joined(separator: ", "))"
        case .interrupted(let signal): "interrupted by signal \(signal)"
        }
    }
}

/// Lines for people, when there is nobody else to tell.
package enum StandardError {
    package static func write(_ line: String) {
        var bytes = Array(line.utf8)
        bytes.append(UInt8(ascii: "\n"))
        unsafe bytes.withUnsafeBytes { unsafe casyncio_write_error($0.baseAddress, $0.count) }
    }
}
