import AsyncIOKernel
public import AsyncIOLoop
import Glibc
import SystemPackage

/// A child process: what ``spawn(_:input:output:error:on:)`` returns.
///
/// ```swift
/// let process = try await Process.spawn("sort", ["-n"], input: .pipe, output: .pipe)
/// let result = try await process.communicate(Array("2\n10\n1\n".utf8))
/// ```
///
/// ``run(_:_:environment:folder:group:input:output:error:limit:timeout:termination:outputGrace:on:)``
/// does it all at once, and ``spawn(_:input:output:error:termination:on:_:)`` owns the child for as long as a body
/// runs. This handle is for everything else. It does not own the child's life: if the last reference goes, its pipes
/// are closed, the child goes on, and it is reaped when it ends. So it is if the loop ends, by the next spawn in this
/// process.
///
/// Every method may be called from any thread, and from tasks of other loops.
public final class Process: Sendable, CustomStringConvertible {
    /// What was started.
    public let command: Command
    /// The loop that its pipes live on.
    public let loop: EventLoop
    /// Its standard input, if that is ``ProcessInput/pipe``. The child sees the end when it is closed.
    public let input: PipeStream?
    /// Its standard output, if that is ``ProcessOutput/pipe``. A child that nobody reads from waits when the pipe is
    /// full.
    public let output: PipeStream?
    /// Its standard error, if that is ``ProcessOutput/pipe``.
    public let errorOutput: PipeStream?
    let child: Child
    /// Where the bytes of ``ProcessInput/bytes(_:)`` go: whoever feeds them closes it, and nobody else.
    let fed: PipeStream?
    /// What feeds them, where no conversation does.
    private let feeder = Locked<BackgroundTask<Void>?>(nil)

    init(_ child: Child, _ streams: ChildStreams?, on loop: EventLoop) {
        self.child = child
        command = child.command
        self.loop = loop
        input = streams?.input
        fed = streams?.fed
        output = streams?.output
        errorOutput = streams?.errorOutput
        OpenResources.opened(ResourceKey(process: child.id))
    }

    deinit {
        // It is reaped when it ends; if the loop ends before, with the next one that is started.
        let (child, loop) = (child, loop)
        let key = ResourceKey(process: child.id)
        guard child.end() == nil, !loop.isClosed else { return OpenResources.closed(key) }
        OpenResources.letGo(key, "Process(\(command), \(child.id)), which still runs,", on: loop)
        loop.spawn(name: "reaper of \(command.executable) (process \(child.id))") {
            // Its status interests nobody.
            _ = try? await child.wait(on: loop)
        }
    }

    /// The process's number, to be shown to people. It belongs to another process some time after this one has ended:
    /// send signals by ``signal(_:to:)`` alone.
    public var id: Int32 { child.id }

    /// `Process(sort -n, 4711)`.
    public var description: String { "Process(\(command), \(id))" }

    /// The lines of its standard output as they come, each of at most 64 KiB: see ``BufferedReader``. For one reader,
    /// once: what is read ahead belongs to this sequence.
    ///
    /// They end when the child and all that it has started have closed the pipe. Throws ``IOError`` with `EBADF` if the
    /// output is no pipe to us.
    public var lines: BufferedReader<PipeStream>.Lines {
        get throws {
            guard let output else {
                throw IOError(
                    .badFileDescriptor, operation: "read", subject: "\(self)",
                    detail: "its output does not come here: spawn it with output: .pipe")
            }
            return BufferedReader(output).lines
        }
    }

    // MARK: Starting

    /// Starts a child, and returns when its program runs.
    ///
    /// Suspends meanwhile; the start itself is done on a thread of the loop's pool, unless the loop has nobody else to
    /// serve. What is shared with the child is what the three streams and the command say, and nothing else. If the
    /// task is cancelled before the start, nothing is started; after that, this returns.
    ///
    /// Throws ``IOError`` with the system's reason and the path: `ENOENT`, `EACCES`, `E2BIG`, `EMFILE` …; there is no
    /// child then, and no zombie. `EINVAL` for a NUL in a text, `ECHILD` if this process ignores SIGCHLD.
    public static func spawn(
        _ command: Command, input: ProcessInput = .inherit, output: ProcessOutput = .inherit,
        error: ProcessOutput = .inherit, on loop: EventLoop? = nil
    ) async throws -> Process {
        let process = try await start(command, input, output, error, on: EventLoop.required(loop))
        process.startFeeding(input)
        return process
    }

    /// As ``spawn(_:input:output:error:on:)``, by the parts of a command.
    public static func spawn(
        _ executable: String, _ arguments: [String] = [], environment: ProcessEnvironment = .inherit,
        folder: String? = nil, group: ProcessGroup = .parents, input: ProcessInput = .inherit,
        output: ProcessOutput = .inherit, error: ProcessOutput = .inherit, on loop: EventLoop? = nil
    ) async throws -> Process {
        let command = Command(executable, arguments, environment: environment, folder: folder, group: group)
        return try await spawn(command, input: input, output: output, error: error, on: loop)
    }

    /// Starts a child at a pseudo-terminal, which becomes its standard streams and its controlling terminal, in a
    /// session of its own, whatever the command's group is. As ``spawn(_:input:output:error:on:)``; throws ``IOError``
    /// with `EBADF` if the terminal is closed.
    public static func spawn(_ command: Command, at terminal: PseudoTerminal) async throws -> Process {
        try await Visit.enter()
        var command = command
        // Whatever it asked for: only the leader of a session can get a terminal, and it leads a group as well.
        command.group = .session
        let hold = try terminal.hold()
        defer { hold.close() }
        let plan = SpawnPlan(command: command, standard: [-1, -1, -1], terminal: terminal.path)
        return Process(try await plan.start(on: terminal.loop), nil, on: terminal.loop)
    }

    /// Starts it, and feeds nothing yet.
    static func start(
        _ command: Command, _ input: ProcessInput, _ output: ProcessOutput, _ error: ProcessOutput, on loop: EventLoop
    ) async throws -> Process {
        try await Visit.enter()
        let streams = try await ChildStreams(input, output, error, on: loop)
        defer { streams.handedOver() }
        let plan = SpawnPlan(command: command, standard: streams.numbers)
        return Process(try await plan.start(on: loop), streams, on: loop)
    }

    /// Feeds what is known from the start, beside whatever else is done with the process. It goes on without this
    /// handle, until the child takes no more or the loop ends.
    func startFeeding(_ input: ProcessInput) {
        guard case .bytes(let bytes) = input.source, let fed else { return }
        let task = loop.spawn(name: "input of \(command.executable)") { try await Conversation.feed(bytes, to: fed) }
        feeder.withLock { $0 = task }
    }

    /// Nobody takes the rest any more.
    func stopFeeding() { feeder.withLock { $0 }?.cancel() }

    // MARK: Ending

    /// Suspends until the process has ended, and returns how. Any number of tasks may wait, as often as they like.
    ///
    /// A cancelled task stops waiting with `CancellationError`; the process does not notice. Its pipes may still hold
    /// output. Throws ``IOError`` with `ECHILD` if another part of the program has reaped it, and the kernel does not
    /// remember how it had ended (it does from Linux 6.15 on).
    public func wait() async throws -> ExitStatus { try await child.wait(on: loop) }

    /// How the process has ended; nil while it runs. Never suspends. Throws as ``wait()``.
    public var status: ExitStatus? { get throws { try child.end()?.get() } }

    /// Sends a signal. False if the process had ended before: that is no error.
    ///
    /// By pidfd_send_signal(2), so that it never reaches a process which got the number later. Throws ``IOError`` with
    /// `EPERM` for a process that has become somebody else's, or a group that the process
    /// does not lead.
    @discardableResult
    public func signal(_ signal: Signal, to scope: Termination.Scope = .process) throws -> Bool {
        try child.signal(signal.rawValue, scope)
    }

    /// Ends the process: sends the request, waits for the grace period, sends SIGKILL, and returns how it has ended.
    ///
    /// If it has ended already, returns how. A cancelled task stops waiting with `CancellationError`, and sends no
    /// further signal. A process that the kernel itself holds up (state D) ends only when the kernel lets it.
    @discardableResult
    public func terminate(_ termination: Termination = Termination()) async throws -> ExitStatus {
        _ = try child.signal(termination.signal.rawValue, termination.scope)
        do {
            _ = try await withTimeout(termination.grace) { try await child.wait(on: loop) }
            // What is left of a group had as long as the process itself.
            if termination.scope == .group { _ = try child.signal(SIGKILL, .group) }
        } catch is TimeoutError {
            _ = try child.signal(SIGKILL, termination.scope)
        } catch {
            // Not the caller's time was over, but the loop's.
            if !Task.isCancelled { _ = try child.signal(SIGKILL, termination.scope) }
            throw error
        }
        return try await wait()
    }

    /// Closes our ends of its pipes, but for the one that is fed: a child may read that to the end.
    func closeStreams() {
        input?.close()
        output?.close()
        errorOutput?.close()
    }
}

extension SpawnPlan {
    /// Starts the child, without holding others up. What was started is returned, also to a cancelled task.
    ///
    /// A start blocks its thread until the child's program runs: a tenth of a millisecond on a quiet machine, several
    /// on a busy one. The way to a thread of the pool and back costs a twentieth of a millisecond of processor time,
    /// which is only worth it if there are others.
    func start(on loop: EventLoop) async throws -> Child {
        guard loop.hasOthersToServe else { return try start() }
        return try await loop.offloadCalls(name: "spawn \(command.executable)") { try start() }
    }
}
