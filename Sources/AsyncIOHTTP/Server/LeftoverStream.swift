#if HTTP
import AsyncIO
import AsyncIOLoop

/// A stream with bytes before it that somebody has read already.
final class LeftoverStream: ByteStream {
    private let rest: Locked<ArraySlice<UInt8>>
    private let stream: any ByteStream

    init(_ rest: [UInt8], before stream: any ByteStream) {
        self.rest = Locked(rest[...])
        self.stream = stream
    }

    /// Takes some of the bytes before the stream; nil when there are none.
    private func take(_ limit: Int) -> [UInt8]? {
        guard limit > 0 else { return nil }
        return rest.withLock { rest in
            guard !rest.isEmpty else { return nil }
            let taken = Array(rest.prefix(limit))
            rest = rest.dropFirst(limit)
            if rest.isEmpty { rest = [] }
            return taken
        }
    }

    func read(upTo limit: Int) async throws -> [UInt8]? {
        try Task.checkCancellation()
        if let taken = take(limit) { return taken }
        return try await stream.read(upTo: limit)
    }

    func read(into span: inout OutputRawSpan) async throws -> Int {
        try Task.checkCancellation()
        guard let taken = take(span.freeCapacity) else { return try await stream.read(into: &span) }
        for byte in taken { span.append(byte) }
        return taken.count
    }

    func write(_ bytes: RawSpan) async throws { try await stream.write(bytes) }
    func write(contentsOf chunks: [[UInt8]]) async throws { try await stream.write(contentsOf: chunks) }
    func tryWrite(_ bytes: RawSpan) throws -> Int { try stream.tryWrite(bytes) }
    func closeWriting() async throws { try await stream.closeWriting() }
    func close() { stream.close() }
    func abort() { stream.abort() }
}
#endif
