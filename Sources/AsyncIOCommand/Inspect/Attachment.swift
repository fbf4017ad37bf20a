import AsyncIO
import AsyncIOInspection
import AsyncIOKernel

/// A connection to a process that is inspected. Every question has an end in time.
final class Attachment: Sendable {
    /// How long a process may take to say anything: its inspector may be busy with somebody else's question.
    static let patience = Duration.seconds(5)

    let process: InspectedProcess
    private let stream: UnixStream
    /// The socket's file.
    private let path: String

    private init(_ process: InspectedProcess, _ stream: UnixStream, _ path: String) {
        self.process = process
        self.stream = stream
        self.path = path
    }

    /// Connects, and hears who is there. Throws ``CannotInspect``.
    static func open(_ id: Int32) async throws -> Attachment {
        let process = InspectedProcess(id: id)
        let (path, owner) = try process.findSocket()
        if process.state == "T" { throw process.silence }
        let stream: UnixStream
        do {
            stream = try await withTimeout(patience) { try await UnixStream.connect(path) }
        } catch let error as IOError where error.code == .connectionRefused || error.code == .noSuchFileOrDirectory {
            // Left by one that had this number before, and did not end well.
            InspectionPlace.removeIfDead(path)
            throw process.notInspected
        } catch is TimeoutError {
            throw process.silence
        } catch let error as IOError {
            throw CannotInspect(description: "process \(id)\(process.name) cannot be inspected: \(error)")
        }
        let peer = try await stream.peerCredentials
        guard peer.userID == owner || peer.userID == 0, peer.processID == id || peer.processID == 0 else {
            throw CannotInspect(description: "\(path) is not process \(id)'s, but process \(peer.processID)'s")
        }
        return Attachment(process, stream, path)
    }

    /// Who it is. No loop of the process has to answer for that.
    func hello() async throws -> ProcessLine {
        let records = try await ask(.hello, within: Self.patience).records
        guard let process = records.process else { throw strange("no process") }
        return process
    }

    /// What its tasks are at.
    func tree(stacks: Bool = false) async throws -> TaskTree {
        guard let tree = try await ask(.tree(stacks: stacks), within: .seconds(15)).records.tree else {
            throw strange("no tree")
        }
        return tree
    }

    /// What its loops are at, and how many tasks it has.
    func loops() async throws -> (process: ProcessLine, tree: TaskTree) {
        let records = try await ask(.loops, within: Self.patience).records
        guard let process = records.process, let tree = records.tree else { throw strange("no loops") }
        return (process, tree)
    }

    /// What happens from now on, for so long.
    func trace(for time: Duration, _ form: TraceForm) async throws -> [UInt8] {
        guard let body = try await ask(.trace(time, form), taking: time, within: .seconds(30)).body else {
            throw strange("no trace")
        }
        return body
    }

    /// What has happened since the process's start, if it was started to be recorded. Ends that trace.
    func endTrace(_ form: TraceForm) async throws -> [UInt8] {
        guard let body = try await ask(.endTrace(form), within: .seconds(30)).body else { throw strange("no trace") }
        return body
    }

    func close() { stream.close() }

    /// Asks something. The answer takes some time by its nature, and comes within the patience after that.
    private func ask(
        _ request: InspectionRequest, taking time: Duration = .zero, within patience: Duration
    ) async throws -> AnswerReader {
        do {
            return try await withTimeout(time + patience) { [stream, process, path] in
                try await stream.write(Array("\(request)\n".utf8))
                var answer = AnswerReader()
                let due = Instant.monotonicNow.advanced(by: time + .seconds(1))
                while !answer.isComplete {
                    do {
                        let bytes = try await withTimeout(.seconds(1)) { try await stream.read() }
                        guard let bytes else { throw await process.silence(leaving: path) }
                        try answer.take(bytes)
                    } catch is TimeoutError where Instant.monotonicNow > due {
                        // Nobody waits for one that is stopped.
                        if process.state == "T" { throw process.silence }
                    } catch is TimeoutError {}
                }
                if let refusal = answer.refusal {
                    throw CannotInspect(description: "process \(process.id) refuses: \(CleanText(refusal))")
                }
                return answer
            }
        } catch is TimeoutError {
            throw process.silence
        } catch let error where error.isDeparture {
            throw await process.silence(leaving: path)
        } catch let error as LineError {
            throw strange("\(error)")
        }
    }

    private func strange(_ what: String) -> CannotInspect {
        CannotInspect(description: "process \(process.id) gives a strange answer: \(CleanText(what))")
    }
}
