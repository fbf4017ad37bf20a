import AsyncIOKernel
public import AsyncIOLoop
import Glibc

/// Commands, each of which reads what the one before it writes: a shell's `generate | sort | compress`.
///
/// ```swift
/// let pipeline = Pipeline([Command("sort", ["words"]), Command("uniq", ["-c"]), Command("head")])
/// let result = try await pipeline.run().checked()
/// ```
///
/// Neighbours are connected by the kernel's pipes, directly: a slow one slows those before it, and no byte passes
/// through this process.
public struct Pipeline: Sendable, Hashable, CustomStringConvertible {
    /// The commands, first to last.
    public var commands: [Command]

    /// A pipeline of these commands. Running it needs at least one.
    public init(_ commands: [Command]) { self.commands = commands }

    /// `sort words | uniq -c`.
    public var description: String { commands.map(\.description).joined(separator: " | ") }

    /// Runs all of them to their end, and returns how they have ended and what the last has said.
    ///
    /// The input is the first one's, the output the last one's. The error output is everybody's: with
    /// ``ProcessOutput/pipe`` in one pipe, in the order of the writing. Otherwise as
    /// ``Process/run(_:input:output:error:limit:timeout:termination:outputGrace:on:)``, for all of them: an error or a
    /// cancellation ends all of them, at the same time. A termination of groups is for commands that lead one each.
    public func run(
        input: ProcessInput = .null, output: ProcessOutput = .pipe, error: ProcessOutput = .pipe,
        limit: OutputLimit = .standard, termination: Termination = Termination(),
        outputGrace: Duration = .milliseconds(250), on loop: EventLoop? = nil
    ) async throws -> PipelineResult {
        let loop = try EventLoop.required(loop)
        let processes = try await start(input, output, error, termination, on: loop)
        do {
            var bytes: [UInt8] = []
            if case .bytes(let given) = input.source { bytes = given }
            let (first, last) = (processes[0], processes[processes.count - 1])
            let conversation = Conversation(
                processes: processes, input: (first.input ?? first.fed).map { ($0, bytes) }, output: last.output,
                errorOutput: last.errorOutput, limit: limit, outputGrace: outputGrace, time: nil, loop: loop)
            let record = try await conversation.hold()
            return PipelineResult(
                pipeline: self, statuses: record.statuses.compactMap(\.self), output: record.output.bytes,
                errorOutput: record.errorOutput.bytes, isTruncated: record.isTruncated)
        } catch {
            await Self.end(processes, termination)
            throw error
        }
    }

    /// Starts all of them, and hands them to a body that owns them, first to last: when the body has ended, so have
    /// they.
    ///
    /// The input is the first one's ``Process/input``, and the output the last one's ``Process/output``; the error
    /// output, if it is ``ProcessOutput/pipe``, is everybody's, and the last one's ``Process/errorOutput``. Otherwise
    /// as ``Process/spawn(_:input:output:error:termination:on:_:)``, for all of them.
    public func spawn<Success>(
        input: ProcessInput = .inherit, output: ProcessOutput = .inherit, error: ProcessOutput = .inherit,
        termination: Termination = Termination(), on loop: EventLoop? = nil,
        _ body: nonisolated(nonsending) ([Process]) async throws -> Success
    ) async throws -> Success {
        let loop = try EventLoop.required(loop)
        let processes = try await start(input, output, error, termination, on: loop)
        processes[0].startFeeding(input)
        let value: Success
        do {
            value = try await body(processes)
        } catch {
            await Self.end(processes, termination)
            throw error
        }
        for process in processes { process.closeStreams() }
        do {
            for process in processes { _ = try await process.wait() }
        } catch {
            await Self.end(processes, termination)
        }
        processes[0].stopFeeding()
        return value
    }

    /// Starts them in order. If one does not start, those before it are ended.
    private func start(
        _ input: ProcessInput, _ output: ProcessOutput, _ error: ProcessOutput, _ termination: Termination,
        on loop: EventLoop
    ) async throws -> [Process] {
        guard !commands.isEmpty else {
            throw IOError(.invalidArgument, operation: "spawn", subject: "a pipeline", detail: "it has no command")
        }
        for command in commands { try termination.check(command) }
        // One pipe for all that they complain about. The last one brings the reading end.
        var complaints: (reader: HeldDescriptor, writer: HeldDescriptor)?
        if case .pipe = error.sink, commands.count > 1 { complaints = try Self.pipe() }
        var processes: [Process] = []
        var next = input
        do {
            for (index, command) in commands.enumerated() {
                let isLast = index == commands.count - 1
                let joint = isLast ? nil : try Self.pipe()
                let sink = joint.map { ProcessOutput(sink: .held($0.writer)) } ?? output
                var errors = error
                if let complaints {
                    let (reader, writer) = complaints
                    errors = ProcessOutput(sink: isLast ? .joined(reader: reader, writer: writer) : .shared(writer))
                }
                processes.append(try await Process.start(command, next, sink, errors, on: loop))
                if let joint { next = ProcessInput(source: .held(joint.reader)) }
            }
        } catch {
            await Self.end(processes, termination)
            throw error
        }
        return processes
    }

    private static func pipe() throws -> (reader: HeldDescriptor, writer: HeldDescriptor) {
        let ends = try SystemCall.pipeForChild()
        let reader = HeldDescriptor(Descriptor(owning: ends.reader))
        return (reader, HeldDescriptor(Descriptor(owning: ends.writer)))
    }

    /// Ends all of them, at the same time.
    private static func end(_ processes: [Process], _ termination: Termination) async {
        await withTaskGroup(of: Void.self) { group in
            for process in processes { group.addTask { await process.end(termination) } }
        }
    }
}

/// How the processes of a pipeline have ended, and what the last has said.
public struct PipelineResult: Sendable {
    /// What has run.
    public let pipeline: Pipeline
    /// How each has ended, first to last.
    public let statuses: [ExitStatus]
    /// The standard output of the last, as far as it went through a pipe to us.
    public let output: [UInt8]
    /// The standard error of all of them, as far as it went through a pipe to us.
    public let errorOutput: [UInt8]
    /// Whether some of its output was dropped: see ``OutputLimit/Excess/drop``.
    public let isTruncated: Bool

    /// The output as UTF-8; wrong bytes become U+FFFD.
    public var outputText: String { String(decoding: output, as: UTF8.self) }

    /// Returns this result if all of them have done their work. Throws ``ProcessError`` about the first that has not.
    ///
    /// That one ended by SIGPIPE, because those after it wanted no more, is no failure: `yes | head`.
    @discardableResult
    public func checked() throws -> PipelineResult {
        for (index, status) in statuses.enumerated() where !status.isSuccess {
            if index < statuses.count - 1, case .signalled(.pipe, _) = status { continue }
            let result = ProcessResult(
                command: pipeline.commands[index], status: status, output: [], errorOutput: errorOutput,
                isTruncated: isTruncated)
            throw ProcessError(result)
        }
        return self
    }
}
