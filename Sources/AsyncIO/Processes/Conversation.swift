import AsyncIOKernel
import AsyncIOLoop
import SystemPackage

/// Writes the input of processes, reads their output and waits for their end, all at the same time, so that none of
/// them can hold up another.
///
/// What ends it, in this order: the end of every process; then the end of every output, or, since a grandchild may keep
/// a pipe open for as long as it lives, the end of a short time. What was in the pipes at that moment is still read.
///
/// With a limit of time, processes that still run then are ended while the conversation goes on, so that it has their
/// last words.
struct Conversation {
    let processes: [Process]
    let input: (stream: PipeStream, bytes: [UInt8])?
    let output: PipeStream?
    let errorOutput: PipeStream?
    let limit: OutputLimit
    let outputGrace: Duration
    let time: TimeLimit?
    let loop: EventLoop

    /// What has come of it.
    struct Record {
        var statuses: [ExitStatus?]
        var output = Collected()
        var errorOutput = Collected()

        var isTruncated: Bool { output.isTruncated || errorOutput.isTruncated }
    }

    /// What one stream had to say.
    struct Collected: Sendable {
        enum Ending: Sendable { case endOfStream, interrupted, tooLong, failed(any Error) }

        var bytes: [UInt8] = []
        var isTruncated = false
        var ending = Ending.endOfStream

        var isTooLong: Bool { if case .tooLong = ending { true } else { false } }

        /// Adds bytes as far as there is room. False if there should be no more.
        mutating func append(_ more: [UInt8], _ limit: OutputLimit) -> Bool {
            let room = limit.bytes - bytes.count
            guard more.count > room else {
                bytes += more
                return true
            }
            switch limit.excess {
            case .fail:
                bytes += more.prefix(room)
                ending = .tooLong
                return false
            case .drop:
                bytes += more.prefix(room)
            case .keepLast:
                bytes += more
                // Not for each piece: so a byte is moved once, on an average.
                if bytes.count - limit.bytes > max(limit.bytes, 65_536) { cut(limit) }
            }
            isTruncated = true
            return true
        }

        /// Drops what came before the last bytes.
        mutating func cut(_ limit: OutputLimit) {
            if bytes.count > limit.bytes { bytes.removeFirst(bytes.count - limit.bytes) }
        }
    }

    private enum Side { case output, errorOutput }

    private enum Event: Sendable {
        case ended(Int, Result<ExitStatus, any Error>)
        case read(Side, Collected)
        case fed((any Error)?)
        case graceIsOver
        /// Those that still run have had their time; false if nobody waits for that any more.
        case timeIsUp(Bool)
        case terminated((any Error)?)
    }

    /// Holds it. Throws what went wrong first, ``OutputLimitError``, ``ProcessTimeoutError``, or `CancellationError`;
    /// the processes may go on then, and are the caller's to end.
    func hold() async throws -> Record {
        var record = Record(statuses: Array(repeating: nil, count: processes.count))
        let (failure, isLate) = await withTaskGroup(of: Event.self) { group in
            var (failure, isLate): ((any Error)?, Bool) = (nil, false)
            var (running, reading) = (processes.count, 0)
            for (index, process) in processes.enumerated() {
                group.addTask { .ended(index, await Result.of { try await process.wait() }) }
            }
            for (side, stream) in [(Side.output, output), (.errorOutput, errorOutput)] {
                guard let stream else { continue }
                reading += 1
                group.addTask { [limit] in .read(side, await Self.collect(stream, limit)) }
            }
            if let input {
                group.addTask { .fed(await Result.of { try await Self.feed(input.bytes, to: input.stream) }.failure) }
            }
            if let time {
                group.addTask { [loop] in .timeIsUp(await loop.perform(.sleep(time.deadline)).result >= 0) }
            }
            for await event in group {
                switch event {
                case .ended(let index, .success(let status)):
                    record.statuses[index] = status
                    running -= 1
                    if running == 0, reading > 0 {
                        let deadline = loop.now.advanced(by: outputGrace)
                        group.addTask { [loop] in
                            _ = await loop.perform(.sleep(deadline))
                            return .graceIsOver
                        }
                    }
                case .ended(_, .failure(let error)): failure = failure ?? error
                case .fed(let error): failure = failure ?? error
                case .read(let side, let collected):
                    reading -= 1
                    switch side {
                    case .output: record.output = collected
                    case .errorOutput: record.errorOutput = collected
                    }
                    switch collected.ending {
                    case .endOfStream, .interrupted: break
                    // Whoever is being ended is not ended for that.
                    case .tooLong: if !isLate { failure = failure ?? TooMuch() }
                    case .failed(let error): failure = failure ?? error
                    }
                case .graceIsOver: group.cancelAll()
                case .timeIsUp(let isTrue):
                    guard isTrue, running > 0, failure == nil, let time else { continue }
                    isLate = true
                    group.addTask {
                        .terminated(await Result.of { try await terminateAll(time.termination) }.failure)
                    }
                case .terminated(let error): failure = failure ?? error
                }
                if failure != nil || running == 0 && reading == 0 { group.cancelAll() }
            }
            return (failure, isLate)
        }
        try Task.checkCancellation()
        if let failure, !(failure is TooMuch), !isLate { throw failure }
        try await takeRest(output, &record.output)
        try await takeRest(errorOutput, &record.errorOutput)
        if isLate, let time { throw lateness(record, time) }
        guard failure == nil, !record.output.isTooLong, !record.errorOutput.isTooLong else {
            throw OutputLimitError(
                command: processes[processes.count - 1].command, limit: limit.bytes, output: record.output.bytes,
                errorOutput: record.errorOutput.bytes)
        }
        return record
    }

    private struct TooMuch: Error {}

    private func terminateAll(_ termination: Termination) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            for process in processes { group.addTask { try await process.terminate(termination) } }
            try await group.waitForAll()
        }
    }

    private func lateness(_ record: Record, _ time: TimeLimit) -> ProcessTimeoutError {
        ProcessTimeoutError(
            command: processes[processes.count - 1].command, timeout: time.timeout,
            status: record.statuses[processes.count - 1], output: record.output.bytes,
            errorOutput: record.errorOutput.bytes,
            isTruncated: record.isTruncated || record.output.isTooLong || record.errorOutput.isTooLong)
    }

    /// Writes all of the bytes and closes the pipe. That nobody takes them is no error.
    static func feed(_ bytes: [UInt8], to stream: PipeStream) async throws {
        defer { stream.close() }
        // Also for one that was closed or handed over before.
        if bytes.isEmpty { return }
        do { try await stream.write(bytes) } catch let error as IOError where error.code == .brokenPipe {
        } catch is CancellationError {}
    }

    private static func collect(_ stream: PipeStream, _ limit: OutputLimit) async -> Collected {
        var all = Collected()
        do {
            while let bytes = try await stream.read() {
                if !all.append(bytes, limit) { return all }
            }
            all.ending = .endOfStream
        } catch is CancellationError {
            all.ending = .interrupted
        } catch {
            all.ending = .failed(error)
        }
        return all
    }

    /// What a pipe held when its reader's time was over; what a grandchild writes from here on is not awaited.
    private func takeRest(_ stream: PipeStream?, _ collected: inout Collected) async throws {
        defer { collected.cut(limit) }
        guard let stream, case .interrupted = collected.ending else { return }
        let pipe = try await stream.handOver(.reading)
        let count = SystemCall.waitingBytes(in: pipe.number)
        if count > 0 { _ = collected.append(try SystemCall.bytes(of: pipe.number, count: count), limit) }
    }
}

/// How long a run may take, and what becomes of processes that take longer.
struct TimeLimit: Sendable {
    let timeout: Duration
    /// On the clock of the run's loop.
    let deadline: Instant
    let termination: Termination

    init(_ timeout: Duration, until deadline: Instant, _ termination: Termination) {
        (self.timeout, self.deadline, self.termination) = (timeout, deadline, termination)
    }
}

extension Result where Success == Void {
    /// The error, if there is one.
    var failure: Failure? {
        if case .failure(let error) = self { return error }
        return nil
    }
}
