import AsyncIO
import AsyncIOKernel
import SystemPackage

/// A stream that passes everything on, and remembers which calls were made to write.
final class TapStream: ByteStream, CustomStringConvertible {
    enum Call: Equatable { case tryWrite(Int), write(Int) }

    private struct State {
        var calls: [Call] = []
        var failure: IOError?
    }

    private let inner: any ByteStream
    private let state = Condition(State())

    init(_ inner: any ByteStream) { self.inner = inner }

    var description: String { "TapStream" }
    /// The calls that were made to write.
    var calls: [Call] { state.withLock { $0.calls } }
    /// What all later writes fail with.
    func fail(with code: Errno) { state.withLock { $0.failure = IOError(code, operation: "write") } }

    private func note(_ call: Call) throws {
        let failure = state.withLock { state in
            state.calls.append(call)
            return state.failure
        }
        if let failure { throw failure }
    }

    func read(upTo limit: Int) async throws -> [UInt8]? { try await inner.read(upTo: limit) }
    func read(into span: inout OutputRawSpan) async throws -> Int { try await inner.read(into: &span) }
    func write(_ bytes: RawSpan) async throws {
        try note(.write(bytes.byteCount))
        try await inner.write(bytes)
    }
    func tryWrite(_ bytes: RawSpan) throws -> Int {
        try note(.tryWrite(bytes.byteCount))
        return try inner.tryWrite(bytes)
    }
    func closeWriting() async throws { try await inner.closeWriting() }
    func close() { inner.close() }
    func abort() { inner.abort() }
}

extension ByteStream {
    /// Reads to the end.
    func readToEnd() async throws -> [UInt8] {
        var all: [UInt8] = []
        while let bytes = try await read(upTo: 65_536) { all += bytes }
        return all
    }
}
