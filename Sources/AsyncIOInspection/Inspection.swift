import AsyncIOKernel
import AsyncIOLoop
import CAsyncIO
import CAsyncIOInspection
import Synchronization

/// Shows what the loops of this process are doing.
///
/// Off unless asked for: by ``start(_:)`` at the beginning of the program, or by `ASYNCIO_INSPECT=1` in its
/// environment.
public enum Inspection {
    /// What is watched.
    public struct Options: Sendable {
        /// Whether SIGQUIT (Ctrl-\) writes the tree of tasks, with their stacks, to standard error, instead of ending
        /// the process. A program that handles the signal itself goes on doing so.
        public var printsTreeAtQuit: Bool
        /// Who reports jobs that keep a loop from everything else.
        public var watchdog: WatchdogOptions
        /// What debug mode looks for; nil: it is off. `ASYNCIO_DEBUG=1` in the environment turns it on.
        public var debug: DebugOptions?
        /// Whether `asyncio ps`, `top` and the like can inspect the process from outside, over a Unix socket that is
        /// for its own user alone. On where `ASYNCIO_INSPECT=1` has started the inspection.
        public var socket: Bool

        /// Creates options.
        public init(
            printsTreeAtQuit: Bool = true, watchdog: WatchdogOptions = WatchdogOptions(), debug: DebugOptions? = nil,
            socket: Bool = false
        ) {
            self.printsTreeAtQuit = printsTreeAtQuit
            self.watchdog = watchdog
            self.debug = debug
            self.socket = socket
        }
    }

    /// Begins to inspect the calling loop, if one runs here, and all loops of the process that begin later.
    ///
    /// Calling it again does nothing, but for the socket, which it opens if that was not asked for before. Does not
    /// suspend.
    public static func start(_ options: Options = Options()) {
        let inspector = ProcessInspector.shared
        guard inspector.start(options) else { return inspector.add(options) }
        // A child that is forked before the first loop is one, too.
        casyncio_watch_forks()
        inspector.startThreads()
        EventLoop.observer = inspector
        // Only one that runs: asking for the current loop may make one, of a program whose `main` is asynchronous.
        if unsafe casyncio_current_loop() != nil, let loop = EventLoop.current { inspector.loopRuns(loop) }
        if options.printsTreeAtQuit { listenForQuit() }
    }

    /// In a child that was forked, which has none of its parent's threads: begins again.
    static func startAgain() {
        TraceSession.forget()
        ProcessInspector.shared.startThreads()
        if ProcessInspector.shared.options?.printsTreeAtQuit == true { listenForQuit() }
    }

    /// The thread that waits for the signal belongs to nobody: a tree can be had when all loops are blocked.
    private static func listenForQuit() {
        guard casyncio_listen_for_quit() else { return }
        let thread = try? InspectionThread.start("quit") {
            while true {
                casyncio_wait_for_quit()
                StandardError.write(captureTaskTreeBlocking(stacks: true, timeout: .seconds(1)).text())
            }
        }
        thread?.detach()
    }

    /// Whether the process is inspected.
    public static var isOn: Bool { ProcessInspector.shared.options != nil }
}

/// Who inspects the loops of the process.
final class ProcessInspector: LoopObserver {
    static let shared = ProcessInspector()

    private struct State {
        var options: Inspection.Options?
        var inspectors: [LoopInspector] = []
        var next = 1
        let began = Instant.monotonicNow
        /// In which process, counted by forks, the inspectors are at home, and the threads.
        var forks = casyncio_forks()
        var forksOfThreads = casyncio_forks()
        /// A parent's, in a child that was forked: its loops never run here, and nobody may call them.
        var inherited: [LoopInspector] = []

        /// Whether the threads are a parent's, in a child that was forked. Says so once.
        mutating func mustStartAgain() -> Bool {
            defer { forksOfThreads = casyncio_forks() }
            return options != nil && forksOfThreads != casyncio_forks()
        }

        /// Leaves a parent's loops alone.
        mutating func lookWhereItIs() {
            guard forks != casyncio_forks() else { return }
            forks = casyncio_forks()
            inherited += inspectors
            inspectors = []
        }
    }

    /// A loop's inspector is used on the loop's thread only, though found from all.
    @safe private struct Held: @unchecked Sendable { var state = State() }

    private let held = Locked(Held())
    private let settling = Locked(())
    private let socket: SocketSwitch
    /// Debug mode, if it is on. Set before the first loop is seen.
    private let desk = Locked<DebugDesk?>(nil)
    /// Who looks at the loops in this process.
    let watchdog = Locked(LoopWatchdog())

    init(socket: SocketSwitch = SocketSwitch(.shared)) { self.socket = socket }

    /// Starts those who look at loops: new ones in each process.
    func startThreads(debugPeriod: Duration = .milliseconds(500)) {
        guard let options else { return }
        let watchdog = LoopWatchdog()
        watchdog.start(options.watchdog, usually: .milliseconds(options.debug == nil ? 100 : 50))
        self.watchdog.withLock { $0 = watchdog }
        guard let debug = options.debug else { return }
        let desk = DebugDesk(debug, period: debugPeriod)
        desk.start()
        self.desk.withLock { $0 = desk }
    }

    var options: Inspection.Options? { held.withLock { $0.state.options } }

    /// When the inspection began.
    var began: Instant { held.withLock { $0.state.began } }

    /// False if it has been started.
    func start(_ options: Inspection.Options) -> Bool {
        held.withLock { held in
            guard held.state.options == nil else { return false }
            held.state.options = options
            return true
        }
    }

    /// What was not asked for at the start.
    func add(_ options: Inspection.Options) {
        guard options.socket else { return }
        held.withLock { $0.state.options?.socket = true }
        settleSocket()
    }

    func loopRuns(_ loop: EventLoop) {
        if held.withLock({ $0.state.mustStartAgain() }) { Inspection.startAgain() }
        let known: (inspector: LoopInspector?, number: Int) = held.withLock { held in
            held.state.lookWhereItIs()
            if let known = held.state.inspectors.first(where: { $0.loop === loop }) { return (known, known.number) }
            defer { held.state.next += 1 }
            return (nil, held.state.next)
        }
        if let inspector = known.inspector { return inspector.presence.comes() }
        let inspector = LoopInspector(
            loop, number: known.number, watchdog: watchdog.withLock { $0 }, debug: desk.withLock { $0 })
        held.withLock { $0.state.inspectors.append(inspector) }
        TraceSession.current?.join(inspector)
        settleSocket()
    }

    func loopRests(_ loop: EventLoop) {
        guard let inspector = inspector(of: loop) else { return }
        inspector.cell.rests()
        inspector.presence.goes()
    }

    func loopEnds(_ loop: EventLoop) {
        guard let inspector = inspector(of: loop) else { return }
        // First: whoever does not find it any more finds what it has left.
        inspector.end()
        held.withLock { $0.state.inspectors.removeAll { $0 === inspector } }
        settleSocket()
        if loops.isEmpty { TraceFile.loopsHaveEnded() }
    }

    func processEnds() { TraceFile.write() }

    /// The socket is there as long as a loop is: the last one takes it away. One may begin meanwhile, on another
    /// thread; so it is looked at how things stand, and whoever looks last is right.
    private func settleSocket() {
        settling.withLock { _ in
            let (wantsSocket, hasLoops) = held.withLock { held in
                (held.state.options?.socket == true, !held.state.inspectors.isEmpty)
            }
            if !hasLoops { socket.close() } else if wantsSocket { socket.open() }
        }
    }

    /// The loops that are inspected, in the order of their beginnings. What belongs to a loop is asked on its thread.
    var loops: [EventLoop] {
        held.withLock { held in
            held.state.lookWhereItIs()
            return held.state.inspectors.map(\.loop)
        }
    }

    /// Who inspects a loop. Its own things are for the loop's thread, and for visits: ``LoopVisits``.
    func inspector(of loop: EventLoop) -> LoopInspector? {
        held.withLock { $0.state.inspectors.first { $0.loop === loop } }
    }
}
