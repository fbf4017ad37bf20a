import AsyncIO
import AsyncIOKernel
import AsyncIOTestSupport
import SystemPackage

/// Hands something that is not `Sendable` from one task to the next: they use it one after the other.
struct Handed<Value>: @unchecked Sendable {
    let value: Value
    init(_ value: Value) { self.value = value }
}

/// A stream whose reads give prepared pieces, one each, and then the end. It cannot be written to.
final class PieceStream: ByteStream {
    private let pieces: Condition<ArraySlice<[UInt8]>>
    /// How many reads have suspended.
    let reads = Counter()

    init(_ pieces: [[UInt8]]) { self.pieces = Condition(pieces.filter { !$0.isEmpty }[...]) }

    /// Cuts bytes into pieces of random sizes.
    convenience init(_ bytes: [UInt8], sizes: ClosedRange<Int> = 1...7, _ random: inout Randomness) {
        var pieces: [[UInt8]] = []
        var rest = bytes[...]
        while !rest.isEmpty {
            pieces.append(Array(rest.prefix(Int.random(in: sizes, using: &random))))
            rest = rest.dropFirst(pieces.last?.count ?? 1)
        }
        self.init(pieces)
    }

    func read(upTo limit: Int) async throws -> [UInt8]? {
        reads.add()
        await Task.yield()
        try Task.checkCancellation()
        return pieces.withLock { pieces in
            guard let piece = pieces.popFirst() else { return nil }
            if piece.count > limit { pieces = [Array(piece[limit...])] + pieces }
            return Array(piece.prefix(limit))
        }
    }

    func read(into span: inout OutputRawSpan) async throws -> Int {
        guard let bytes = try await read(upTo: span.freeCapacity) else { return 0 }
        for byte in bytes { span.append(byte) }
        return bytes.count
    }

    func write(_ bytes: RawSpan) async throws { throw IOError(.brokenPipe, operation: "write") }
    func tryWrite(_ bytes: RawSpan) throws -> Int { throw IOError(.brokenPipe, operation: "write") }
    func closeWriting() async throws {}
    func close() {}
    func abort() {}
}

/// A reader of a text that comes in these pieces.
func reader(of pieces: String..., readSize: Int = 65_536) -> BufferedReader<PieceStream> {
    BufferedReader(PieceStream(pieces.map { Array($0.utf8) }), readSize: readSize)
}
