import AsyncIOKernel
import SystemPackage

/// One direction of a ``MemoryStream``: the shell around a ``PipeMachine``.
final class MemoryPipe: Sendable {
    private let parking: Parking<PipeMachine>

    init(capacity: Int) {
        parking = Parking(PipeMachine(capacity: capacity), sharing: .acrossThreads)
    }

    // MARK: Reading

    /// Takes what is there, at most the limit; nil at the end.
    func read(upTo limit: Int, _ subject: String) async throws -> [UInt8]? {
        try await read(subject) { machine, woken in
            guard case .bytes(let count) = machine.arriveToRead() else { return nil }
            return unsafe [UInt8](unsafeUninitializedCapacity: min(count, limit)) { memory, filled in
                if case .bytes(let count) = unsafe machine.read(into: .init(memory), waking: &woken) { filled = count }
            }
        }
    }

    /// Moves what is there into the memory, and returns the number of bytes; 0 at the end.
    ///
    /// The memory has to stay alive until this returns.
    func read(into memory: UnsafeMutableRawBufferPointer, _ subject: String) async throws -> Int {
        try await read(subject) { machine, woken in
            guard case .bytes(let count) = unsafe machine.read(into: memory, waking: &woken) else { return nil }
            return count
        } ?? 0
    }

    /// Waits until something is there and has it taken; nil at the end.
    private func read<Result>(
        _ subject: String, taking: (inout PipeMachine, inout WakeList) -> Result?
    ) async throws -> Result? {
        switch Visit.begin() {
        case .isCancelled: throw CancellationError()
        case .mustTakeTurns: break
        case .mayGoOn:
            let (found, result) = parking.visit { machine, woken in
                let found = machine.arriveToRead()
                return (found, isThere(found) ? taking(&machine, &woken) : nil)
            }
            switch found {
            case .bytes, .end: return result
            case .fault(let fault): throw error(fault, "read", subject)
            case .empty: break
            }
        }
        return try await readSlowly(subject, taking: taking)
    }

    private func readSlowly<Result>(
        _ subject: String, taking: (inout PipeMachine, inout WakeList) -> Result?
    ) async throws -> Result? {
        try await Visit.takeTurns()
        let label = TaskLabel.current
        var refusal: PipeMachine.Fault?
        let visitor = await parking.park(note: PipeMachine.Wish.read.rawValue) { machine, visitor, _ in
            let found = machine.wait(toRead: visitor, as: label)
            if case .fault(let fault) = found { refusal = fault }
            return found == .empty ? .parked : .answered
        }
        defer { parking.recycle(visitor) }
        if let refusal { throw error(refusal, "read", subject) }
        switch visitor.phase {
        case .granted:
            let (found, result) = parking.visit { machine, woken in
                machine.readerLeaves()
                let found = machine.arriveToRead()
                return (found, isThere(found) ? taking(&machine, &woken) : nil)
            }
            if case .fault(let fault) = found { throw error(fault, "read", subject, .meanwhile) }
            return result
        case .ended:
            let reason = parking.read { machine in
                machine.readerLeaves()
                return machine.reason(for: .read)
            }
            throw error(reason, "read", subject, .meanwhile)
        case .fresh, .queued, .cancelled: throw CancellationError()
        }
    }

    private func isThere(_ found: PipeMachine.Reading) -> Bool {
        if case .bytes = found { true } else { false }
    }

    // MARK: Writing

    /// Hands all of the bytes over. They have to stay alive until this returns.
    func write(_ bytes: UnsafeRawBufferPointer, _ subject: String) async throws {
        switch Visit.begin() {
        case .isCancelled: throw CancellationError()
        case .mustTakeTurns: break
        case .mayGoOn:
            switch parking.visit({ unsafe $0.write(bytes, .all, waking: &$1) }) {
            case .taken: return
            case .fault(let fault): throw error(fault, "write", subject)
            case .full: break
            }
        }
        unsafe try await writeSlowly(bytes, subject)
    }

    private func writeSlowly(_ bytes: UnsafeRawBufferPointer, _ subject: String) async throws {
        try await Visit.takeTurns()
        let label = TaskLabel.current
        var refusal: PipeMachine.Fault?
        let visitor = await parking.park(note: PipeMachine.Wish.write.rawValue) { machine, visitor, woken in
            let answer = unsafe machine.wait(toWrite: bytes, visitor, as: label, waking: &woken)
            if case .fault(let fault) = answer { refusal = fault }
            return answer == .full ? .parked : .answered
        }
        defer { parking.recycle(visitor) }
        if let refusal { throw error(refusal, "write", subject) }
        switch visitor.phase {
        case .granted: return
        case .ended: throw error(parking.read { $0.reason(for: .write) }, "write", subject, .meanwhile)
        case .fresh, .queued, .cancelled: throw CancellationError()
        }
    }

    /// Hands over what there is room for now.
    func tryWrite(_ bytes: UnsafeRawBufferPointer, _ subject: String) throws -> Int {
        switch parking.visit({ unsafe $0.write(bytes, .whatFits, waking: &$1) }) {
        case .taken(let count): return count
        case .full, .fault(.busy): return 0
        case .fault(let fault): throw error(fault, "write", subject)
        }
    }

    // MARK: Ending

    /// Nothing more will be written.
    func finish(_ subject: String) throws {
        guard let fault = parking.visit({ $0.finish(waking: &$1) }) else { return }
        throw error(fault, "close writing", subject)
    }

    func closeReading() { parking.visit { $0.closeReading(waking: &$1) } }
    func closeWriting() { parking.visit { $0.closeWriting(waking: &$1) } }
    func abortReading() { parking.visit { $0.abortReading(waking: &$1) } }
    func abortWriting() { parking.visit { $0.abortWriting(waking: &$1) } }

    /// How many bytes are on their way.
    var count: Int { parking.read { $0.ring.count } }

    /// When the end went: before the call, or while it waited.
    private enum Moment { case before, meanwhile }

    private func error(
        _ fault: PipeMachine.Fault, _ operation: String, _ subject: String, _ moment: Moment = .before
    ) -> IOError {
        switch fault {
        case .closedHere where moment == .meanwhile:
            IOError(.canceled, operation: operation, subject: subject, detail: "closed while the operation waited")
        case .closedHere:
            IOError(.badFileDescriptor, operation: operation, subject: subject, detail: "already closed")
        case .finishedHere:
            IOError(
                .brokenPipe, operation: operation, subject: subject, detail: "writing was finished by closeWriting()")
        case .peerClosed: IOError(.brokenPipe, operation: operation, subject: subject)
        case .peerAborted: IOError(.connectionReset, operation: operation, subject: subject)
        case .busy(let task):
            IOError(
                .resourceBusy, operation: operation, subject: subject,
                detail: "\(task) is at it already; use one reader and one writer at a time")
        }
    }
}
