import AsyncIO
import Glibc

/// An endless row of bytes, in which one lost, doubled or strange byte is seen. Its period is a prime number.
enum StreamPattern {
    static let period = 65_521
    /// The most that ``piece(at:count:)`` gives.
    static let longest = 65_536
    private static let bytes: [UInt8] = {
        var random = Randomness(seed: 1)
        let once = random.bytes(period)
        return once + once + once
    }()

    /// A part of the row.
    static func piece(at offset: Int, count: Int) -> [UInt8] {
        let start = offset % period
        return Array(bytes[start..<start + min(count, longest)])
    }

    /// A part of any length.
    static func part(at offset: Int = 0, count: Int) -> [UInt8] {
        var part: [UInt8] = []
        part.reserveCapacity(count)
        while part.count < count { part += piece(at: offset + part.count, count: count - part.count) }
        return part
    }

    /// Throws unless the bytes stand at this place of the row.
    static func check(_ received: [UInt8], at offset: Int) throws {
        var checked = 0
        while checked < received.count {
            let start = (offset + checked) % period
            let count = min(received.count - checked, longest)
            let isSame = unsafe received.withUnsafeBytes { received in
                unsafe bytes.withUnsafeBytes { bytes in
                    guard let ours = received.baseAddress, let base = bytes.baseAddress else { return true }
                    return unsafe memcmp(ours + checked, base + start, count) == 0
                }
            }
            try demand(isSame, "between byte \(offset + checked) and the next \(count), something else arrived")
            checked += count
        }
    }
}

/// Reads the row from a stream and checks it.
struct PatternReader {
    let stream: any ByteStream
    private(set) var count = 0

    init(_ stream: any ByteStream, from count: Int = 0) {
        self.stream = stream
        self.count = count
    }

    /// Reads once. False at the end.
    mutating func read(upTo limit: Int) async throws -> Bool {
        guard let bytes = try await stream.read(upTo: limit) else { return false }
        try take(bytes, limit)
        return true
    }

    /// The ways of reading.
    static let ways = 4

    /// Reads once, in one of the ways. False at the end.
    mutating func read(upTo limit: Int, way: Int) async throws -> Bool {
        switch way % Self.ways {
        case 0: return try await read(upTo: limit)
        case 1:
            var buffer = IOBuffer(capacity: limit)
            let count = try await stream.read(into: &buffer)
            try demand(count == buffer.count, "\(count) bytes reported, \(buffer.count) in the buffer")
            if count > 0 { try take(buffer.withBytes { [UInt8]($0) }, limit) }
            return count > 0
        case 2:
            guard let bytes = try await stream.withReceivedBytes(upTo: limit, { [UInt8]($0) }) else { return false }
            try take(bytes, limit)
            return true
        default:
            let (count, bytes) = try await stream.readIntoSpan(limit, after: [])
            if count > 0 { try take(bytes, limit) }
            return count > 0
        }
    }

    private mutating func take(_ bytes: [UInt8], _ limit: Int) throws {
        try demand(!bytes.isEmpty, "a read returned no byte, and not the end")
        try demand(bytes.count <= limit, "a read of at most \(limit) returned \(bytes.count) bytes")
        try StreamPattern.check(bytes, at: count)
        count += bytes.count
    }

    /// Reads to the end, which has to come after so many bytes.
    mutating func readAll(_ expected: Int, upTo limit: Int = 65_536) async throws {
        while try await read(upTo: limit) {}
        try demand(count == expected, "the end came after \(count) of \(expected) bytes")
    }

    /// Reads until so many bytes have come in all.
    mutating func read(until expected: Int) async throws {
        while count < expected {
            let isMore = try await read(upTo: min(65_536, expected - count))
            try demand(isMore, "the end came after \(count) of \(expected) bytes")
        }
    }
}

extension [UInt8] {
    /// A copy of the bytes.
    init(_ span: RawSpan) { self = unsafe span.withUnsafeBytes { unsafe [UInt8]($0) } }
}

extension ByteStream {
    /// Reads once into a span that holds some bytes already. Returns the number reported, and what the span holds.
    func readIntoSpan(_ room: Int, after: [UInt8]) async throws -> (Int, [UInt8]) {
        let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: room + after.count, alignment: 1)
        defer { unsafe memory.deallocate() }
        unsafe memory.copyBytes(from: after)
        // The memory lives until this function returns.
        var span = unsafe OutputRawSpan(buffer: memory, initializedCount: after.count)
        let count = try await read(into: &span)
        let filled = span.byteCount
        _ = consume span
        return (count, unsafe Array(UnsafeRawBufferPointer(memory)[..<filled]))
    }
}
