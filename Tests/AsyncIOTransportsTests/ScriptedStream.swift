import AsyncIO
import AsyncIOKernel
import AsyncIOLoop
import SystemPackage

/// A stream whose other side is the test itself, down to how many bytes are taken when.
final class ScriptedStream: ByteStream, CustomStringConvertible {
    private struct State {
        var incoming: [[UInt8]] = []
        var ending: Ending?
        /// How many bytes are taken before the next has to wait.
        var room = Int.max
        var written: [UInt8] = []
        /// What each call took.
        var calls: [Int] = []
        var writeError: IOError?
        var hasFinishedWriting = false
        var isClosed = false
        var isAborted = false
        var reads = 0
        /// Whether the end or a failure has been read.
        var isReadOut = false
    }

    private enum Ending { case end, failure(IOError) }

    private let state = Locked(State())
    private let mayRead = AsyncEvent()
    private let mayWrite = AsyncEvent()

    var description: String { "ScriptedStream" }

    // MARK: The other side

    func feed(_ bytes: [UInt8]) {
        state.withLock { $0.incoming.append(bytes) }
        mayRead.set()
    }

    func feedEnd() {
        state.withLock { $0.ending = .end }
        mayRead.set()
    }

    func feed(_ failure: IOError) {
        state.withLock { $0.ending = .failure(failure) }
        mayRead.set()
    }

    /// Takes so many bytes more.
    func take(_ count: Int) {
        state.withLock { $0.room = $0.room.addingReportingOverflow(count).overflow ? .max : $0.room + count }
        mayWrite.set()
    }

    /// Takes nothing from here on.
    func jam() { state.withLock { $0.room = 0 } }

    func failWrites(_ failure: IOError) {
        state.withLock { $0.writeError = failure }
        mayWrite.set()
    }

    var written: [UInt8] { state.withLock { $0.written } }
    var calls: [Int] { state.withLock { $0.calls } }
    var reads: Int { state.withLock { $0.reads } }
    /// Whether somebody waits until more is taken.
    var isFull: Bool { !mayWrite.waitingTasks.isEmpty }
    var isReadOut: Bool { state.withLock { $0.isReadOut } }
    var hasFinishedWriting: Bool { state.withLock { $0.hasFinishedWriting } }
    var isClosed: Bool { state.withLock { $0.isClosed } }
    var isAborted: Bool { state.withLock { $0.isAborted } }

    // MARK: ByteStream

    func read(upTo limit: Int) async throws -> [UInt8]? {
        while true {
            mayRead.clear()
            let result: Result<[UInt8]?, IOError>? = state.withLock { state in
                if state.isClosed { return .failure(IOError(.canceled, operation: "read")) }
                state.reads += 1
                if !state.incoming.isEmpty { return .success(state.incoming.removeFirst()) }
                state.isReadOut = state.ending != nil
                switch state.ending {
                case .end: return .success(nil)
                case .failure(let failure): return .failure(failure)
                case nil: return nil
                }
            }
            if let result { return try result.get() }
            try await mayRead.wait()
        }
    }

    func read(into span: inout OutputRawSpan) async throws -> Int {
        throw IOError(.notSupported, operation: "read")
    }

    func write(_ bytes: RawSpan) async throws {
        var sent = 0
        while sent < bytes.byteCount {
            mayWrite.clear()
            let taken = try tryWrite(bytes.extracting(sent..<bytes.byteCount))
            sent += taken
            if taken == 0 { try await mayWrite.wait() }
        }
    }

    func tryWrite(_ bytes: RawSpan) throws -> Int {
        try state.withLock { state throws(IOError) in
            if state.isClosed { throw IOError(.canceled, operation: "write") }
            if let failure = state.writeError { throw failure }
            let count = min(bytes.byteCount, state.room)
            guard count > 0 else { return 0 }
            if state.room != .max { state.room -= count }
            unsafe bytes.withUnsafeBytes { unsafe state.written += UnsafeRawBufferPointer(rebasing: $0[..<count]) }
            state.calls.append(count)
            return count
        }
    }

    func closeWriting() async throws { state.withLock { $0.hasFinishedWriting = true } }

    func close() {
        state.withLock { $0.isClosed = true }
        mayRead.set()
        mayWrite.set()
    }

    func abort() {
        state.withLock { if !$0.isClosed { $0.isAborted = true } }
        close()
    }
}
