import AsyncIOKernel
public import AsyncIOLoop

extension Process {
    /// Runs a command to its end, and returns how it has ended and what it has said.
    ///
    /// ```swift
    /// let listing = try await Process.run("ls", ["-l"], folder: "/tmp").checked().outputText
    /// ```
    ///
    /// Suspends until the process has ended and its output has been read. If a grandchild keeps a pipe open after that,
    /// what it writes is awaited for `outputGrace` and no longer; it goes on, and gets SIGPIPE for writing more.
    ///
    /// A task that is cancelled ends the process by `termination`, awaits that, and throws `CancellationError`. So does
    /// any other error: nothing of the process is left behind then, but for grandchildren, unless the termination's
    /// scope is ``Termination/Scope/group``. A process that has become somebody else's (`sudo`) may refuse the signals
    /// (`EPERM` of kill(2)): it goes on then, and the loop's error handler is told.
    ///
    /// A process that has not ended within `timeout`, counted from this call, is ended the same way;
    /// ``ProcessTimeoutError`` has what it has said, also while it was being ended. One that has ended in time is not
    /// late for what its grandchildren still write.
    ///
    /// That the process exits with another code than 0 is no error here: see ``ProcessResult/checked()``. Throws
    /// ``OutputLimitError`` if it writes more than the limit, and what ``spawn(_:input:output:error:on:)`` and
    /// ``wait()`` throw; ``IOError`` with `EINVAL`, before anything starts, for a termination of a group that the
    /// process does not lead.
    public static func run(
        _ command: Command, input: ProcessInput = .null, output: ProcessOutput = .pipe, error: ProcessOutput = .pipe,
        limit: OutputLimit = .standard, timeout: Duration? = nil, termination: Termination = Termination(),
        outputGrace: Duration = .milliseconds(250), on loop: EventLoop? = nil
    ) async throws -> ProcessResult {
        try termination.check(command)
        let loop = try EventLoop.required(loop)
        let time = timeout.map { TimeLimit($0, until: loop.now.advanced(by: $0), termination) }
        let process = try await start(command, input, output, error, time, on: loop)
        var bytes: [UInt8] = []
        if case .bytes(let given) = input.source { bytes = given }
        return try await process.owned(termination) {
            try await process.converse(process.input ?? process.fed, bytes, limit, outputGrace, time)
        }
    }

    /// Starts it in time, or not at all.
    private static func start(
        _ command: Command, _ input: ProcessInput, _ output: ProcessOutput, _ error: ProcessOutput,
        _ time: TimeLimit?, on loop: EventLoop
    ) async throws -> Process {
        guard let time else { return try await start(command, input, output, error, on: loop) }
        do {
            return try await withTimeout(time.timeout) { try await start(command, input, output, error, on: loop) }
        } catch is TimeoutError {
            throw ProcessTimeoutError(command: command, timeout: time.timeout, status: nil)
        }
    }

    /// As ``run(_:input:output:error:limit:timeout:termination:outputGrace:on:)``, by the parts of a command.
    public static func run(
        _ executable: String, _ arguments: [String] = [], environment: ProcessEnvironment = .inherit,
        folder: String? = nil, group: ProcessGroup = .parents, input: ProcessInput = .null,
        output: ProcessOutput = .pipe, error: ProcessOutput = .pipe, limit: OutputLimit = .standard,
        timeout: Duration? = nil, termination: Termination = Termination(),
        outputGrace: Duration = .milliseconds(250), on loop: EventLoop? = nil
    ) async throws -> ProcessResult {
        let command = Command(executable, arguments, environment: environment, folder: folder, group: group)
        return try await run(
            command, input: input, output: output, error: error, limit: limit, timeout: timeout,
            termination: termination, outputGrace: outputGrace, on: loop)
    }

    /// Runs a text by `/bin/sh -c`. As ``run(_:input:output:error:limit:timeout:termination:outputGrace:on:)``; see
    /// ``Command/shell(_:_:)``.
    public static func shell(
        _ text: String, _ arguments: [String] = [], environment: ProcessEnvironment = .inherit,
        folder: String? = nil, group: ProcessGroup = .parents, input: ProcessInput = .null,
        output: ProcessOutput = .pipe, error: ProcessOutput = .pipe, limit: OutputLimit = .standard,
        timeout: Duration? = nil, termination: Termination = Termination(),
        outputGrace: Duration = .milliseconds(250), on loop: EventLoop? = nil
    ) async throws -> ProcessResult {
        var command = Command.shell(text, arguments)
        command.environment = environment
        command.folder = folder
        command.group = group
        return try await run(
            command, input: input, output: output, error: error, limit: limit, timeout: timeout,
            termination: termination, outputGrace: outputGrace, on: loop)
    }

    /// Starts a child that a body owns: when the body has ended, so has the child.
    ///
    /// ```swift
    /// try await Process.spawn(Command("make"), output: .pipe) { make in
    ///     for try await line in try make.lines { … }
    /// }
    /// ```
    ///
    /// A body that returns closes our ends of the pipes, and the child is awaited, which still gets all of
    /// ``ProcessInput/bytes(_:)``. If the body throws, or the task is cancelled, the child is ended by `termination`,
    /// and awaited, before this throws: the body's error. What it writes meanwhile is read and dropped. The body runs
    /// in the calling task. What a termination needs, and what becomes of a child that refuses its signals, is said at
    /// ``run(_:input:output:error:limit:timeout:termination:outputGrace:on:)``.
    public static func spawn<Success>(
        _ command: Command, input: ProcessInput = .inherit, output: ProcessOutput = .inherit,
        error: ProcessOutput = .inherit, termination: Termination = Termination(), on loop: EventLoop? = nil,
        _ body: nonisolated(nonsending) (Process) async throws -> Success
    ) async throws -> Success {
        try termination.check(command)
        let process = try await spawn(command, input: input, output: output, error: error, on: loop)
        return try await process.owned(termination) { try await body(process) }
    }

    /// Writes the bytes to the process's input and closes it, reads its output and its error output, and waits for its
    /// end, all at once: no order in which the process reads and writes can block it.
    ///
    /// For a process whose pipes nobody has used; one that was spawned with ``ProcessInput/bytes(_:)`` gets those. A
    /// process that does not take its input is no error. What its pipes hold after its end is awaited for `outputGrace`
    /// at most: a grandchild may keep them open. Throws ``OutputLimitError``, `CancellationError`, and what ``wait()``
    /// and the streams throw; the process goes on then.
    public func communicate(
        _ input: [UInt8] = [], limit: OutputLimit = .standard, outputGrace: Duration = .milliseconds(250)
    ) async throws -> ProcessResult {
        try await converse(self.input, input, limit, outputGrace)
    }

    private func converse(
        _ stream: PipeStream?, _ bytes: [UInt8], _ limit: OutputLimit, _ outputGrace: Duration,
        _ time: TimeLimit? = nil
    ) async throws -> ProcessResult {
        let conversation = Conversation(
            processes: [self], input: stream.map { ($0, bytes) }, output: output, errorOutput: errorOutput,
            limit: limit, outputGrace: outputGrace, time: time, loop: loop)
        let record = try await conversation.hold()
        guard let status = record.statuses[0] else { throw CancellationError() }
        return ProcessResult(
            command: command, status: status, output: record.output.bytes, errorOutput: record.errorOutput.bytes,
            isTruncated: record.isTruncated)
    }

    /// Runs a body that owns the process. It has ended when this returns or throws.
    func owned<Success>(
        _ termination: Termination, _ body: nonisolated(nonsending) () async throws -> Success
    ) async throws -> Success {
        let value: Success
        do {
            value = try await body()
        } catch {
            await end(termination)
            throw error
        }
        closeStreams()
        // What the body has got is not lost: a cancellation from here on only hurries.
        do { _ = try await wait() } catch { await end(termination) }
        // What it has not taken, a grandchild might never take.
        stopFeeding()
        return value
    }

    /// Closes its input, and reads and drops what it says until its end: a program that tidies up must not wait for a
    /// reader who has gone.
    private func terminateAndDrain(_ termination: Termination) async throws {
        input?.close()
        try await withThrowingTaskGroup(of: Void.self) { group in
            for stream in [output, errorOutput].compactMap(\.self) {
                group.addTask {
                    // Somebody may have closed it, or handed it over.
                    do { while try await stream.read() != nil {} } catch {}
                }
            }
            // Of a group, also grandchildren may hold the pipes.
            defer { group.cancelAll() }
            try await terminate(termination)
        }
    }

    /// Ends the process, whoever is cancelled, and lets go of its pipes. Where it cannot be ended, the error handler is
    /// told: the caller has another error to throw.
    func end(_ termination: Termination) async {
        stopFeeding()
        let result = await UncancelledTask.start(name: "end of \(command.executable)") {
            try await self.terminateAndDrain(termination)
        }.result
        // Without ECHILD: another part of the program has reaped it, so it has ended.
        if case .failure(let error as IOError) = result, error.code != .noChildProcess {
            loop.report(error, context: "end of \(self), which goes on")
        }
        closeStreams()
    }
}
