import CMeasure

/// The clocks before the measured part of a work, and the line of JSON after it.
public struct Mark: Sendable {
    let peak = measured_peak_kib()
    let wall = measured_wall()
    let cpu = measured_cpu()

    /// The clocks as they are now.
    public init() {}

    /// Prints the result; `fields` are more of them, by name.
    public func report(_ work: String, _ operations: Int, _ fields: KeyValuePairs<String, Int64> = [:]) {
        let (wallSpent, cpuSpent) = (measured_wall() - wall, measured_cpu() - cpu)
        let more = fields.map { ",\"\($0.key)\":\($0.value)" }.joined()
        print(
            "{\"work\":\"\(work)\",\"operations\":\(operations),\"wall_ns\":\(wallSpent),\"cpu_ns\":\(cpuSpent),"
                + "\"peak_kib\":\(measured_peak_kib())\(more)}")
    }

    /// The same with the growth of the process since the mark, shared by the operations.
    public func reportMemory(_ work: String, _ operations: Int) {
        report(work, operations, ["bytes_each": (measured_peak_kib() - peak) * 1024 / Int64(operations)])
    }
}

/// Ends the process: the work is not for this peer, and why.
public func cannot(_ why: String) -> Never { measured_cannot(why) }

/// A tenth of the work to warm up, then all of it.
public func measure(_ work: String, _ operations: Int, _ body: (Int) async throws -> Void) async rethrows {
    try await body(operations / 10)
    let mark = Mark()
    try await body(operations)
    mark.report(work, operations)
}

/// The part of `span` that timer `index` waits: the same order of deadlines in every peer.
public func spread(_ index: Int, over span: Int64) -> Int64 {
    Int64((UInt64(UInt32(truncatingIfNeeded: index) &* 2_654_435_761) &* UInt64(span)) >> 32)
}

/// Places in a file of 64 MiB, the same in every peer.
public struct RandomPages {
    var state: UInt64 = 88_172_645_463_325_252

    /// At the first place.
    public init() {}

    /// The offset of the next page of 4 KiB.
    public mutating func next() -> Int64 {
        state ^= state << 13
        state ^= state >> 7
        state ^= state << 17
        return Int64(state % (64 << 8) * 4096)
    }
}
