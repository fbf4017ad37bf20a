import AsyncIOKernel
import AsyncIOLoop
import SystemPackage

/// Writes the input of processes, reads their output and waits for their end, all at the same time, so that none of
/// them can hold up another.
///
/// What ends it, in this order: the end of every process; then the end of every output, or, since a grandchild may keep
/// a pipe open for as long as it lives, the end of a short time. What was in the pipes at that moment is still read.
struct Conversation {
    let processes: [Process]
    let input: (stream: PipeStream, bytes: [UInt8])?
    let output: PipeStream?
    let errorOutput: PipeStream?
    let limit: OutputLimit
    let outputGrace: Duration
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
            bytes += more.prefix(room)
            if limit.excess == .fail {
                ending = .tooLong
                return false
            }
            isTruncated = true
            return true
        }
    }

    private enum Side { case output, errorOutput }

    private enum Event: Sendable {
        case ended(Int, Result<ExitStatus, any Error>)
        case read(Side, Collected)
        case fed((any Error)?)
        case timeIsOver
    }

    /// Holds it. Throws what went wrong first, ``OutputLimitError``, or `CancellationError`; the processes may go on
    /// then, and are the caller's to end.
    func hold() async throws -> Record {
        var record = Record(statuses: Array(repeating: nil, count: processes.count))
        let failure = await withTaskGroup(of: Event.self) { group in
            var failure: (any Error)?
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
            for await event in group {
                switch event {
                case .ended(let index, .success(let status)):
                    record.statuses[index] = status
                    running -= 1
                    if running == 0, reading > 0 {
                        let deadline = loop.now.advanced(by: outputGrace)
                        group.addTask { [loop] in
                            _ = await loop.perform(.sleep(deadline))
                            return .timeIsOver
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
                    case .tooLong: failure = failure ?? TooMuch()
                    case .failed(let error): failure = failure ?? error
                    }
                case .timeIsOver: group.cancelAll()
                }
                if failure != nil || running == 0 && reading == 0 { group.cancelAll() }
            }
            return failure
        }
        try Task.checkCancellation()
        if let failure, !(failure is TooMuch) { throw failure }
        try await takeRest(output, &record.output)
        try await takeRest(errorOutput, &record.errorOutput)
        guard failure == nil, !record.output.isTooLong, !record.errorOutput.isTooLong else {
            throw OutputLimitError(
                command: processes[processes.count - 1].command, limit: limit.bytes, output: record.output.bytes,
                errorOutput: record.errorOutput.bytes)
        }
        return record
    }

    private struct TooMuch: Error {}

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
        guard let stream, case .interrupted = collected.ending else { return }
        let pipe = try await stream.handOver(.reading)
        let count = SystemCall.waitingBytes(in: pipe.number)
        if count > 0 { _ = collected.append(try SystemCall.bytes(of: pipe.number, count: count), limit) }
    }
}

extension Result where Success == Void {
    /// The error, if there is one.
    var failure: Failure? {
        if case .failure(let error) = self { return error }
        return nil
    }
}
