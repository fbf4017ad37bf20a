import AsyncIO
import Glibc

/// What one work has cost: one line of `asyncio bench WORK N --raw`.
struct Measurement: Sendable, Equatable {
    /// How many operations were done: those asked for, or a few more where they come in groups.
    var operations: Int
    /// The clock's time, in nanoseconds.
    var wall: Int
    /// Processor time of the whole process, in nanoseconds.
    var cpu: Int
    /// The most memory that the process has had so far, in KiB.
    var peak: Int
    /// Numbers that this work alone has.
    var extras: [Extra] = []

    struct Extra: Sendable, Equatable {
        let name: String
        let value: Int
    }

    subscript(name: String) -> Int? { extras.first { $0.name == name }?.value }

    func adding(_ name: String, _ value: Int) -> Measurement {
        var copy = self
        copy.extras.append(Extra(name: name, value: value))
        return copy
    }
}

extension Measurement {
    /// Measures the body alone: what stands before it is preparation, and what follows is the end.
    static func of(
        _ operations: Int, _ body: nonisolated(nonsending) () async throws -> Void
    ) async rethrows -> Measurement {
        let stopwatch = Stopwatch()
        try await body()
        return stopwatch.stop(after: operations)
    }
}

/// The clock and the processor time, from when it was made.
struct Stopwatch {
    private let start: Int
    private let processorStart: Int

    init() {
        start = Self.now(CLOCK_MONOTONIC)
        processorStart = Self.now(CLOCK_PROCESS_CPUTIME_ID)
    }

    /// One that counts the processor time of the whole process, from its start.
    static let process = Stopwatch(processorStart: 0)

    private init(processorStart: Int) {
        start = Self.now(CLOCK_MONOTONIC)
        self.processorStart = processorStart
    }

    var wall: Int { Self.now(CLOCK_MONOTONIC) - start }

    func stop(after operations: Int) -> Measurement {
        let (cpu, wall) = (Self.now(CLOCK_PROCESS_CPUTIME_ID) - processorStart, wall)
        return Measurement(operations: operations, wall: wall, cpu: cpu, peak: Memory.peak)
    }

    private static func now(_ clock: clockid_t) -> Int {
        var time = timespec()
        unsafe clock_gettime(clock, &time)
        return time.tv_sec * 1_000_000_000 + time.tv_nsec
    }
}

/// The memory of this process.
enum Memory {
    /// The most that it has had so far, in KiB: `VmHWM` of proc_pid_status(5). What getrusage(2) tells may be that of
    /// whoever has become this program by exec(3).
    static var peak: Int {
        let status = InspectedProcess.contents(of: "/proc/self/status") ?? ""
        let line = status.split(separator: "\n").first { $0.hasPrefix("VmHWM:") }
        return line?.split(whereSeparator: \.isWhitespace).dropFirst().first.flatMap { Int($0) } ?? 0
    }
}

// MARK: - As a line of JSON

extension Measurement {
    /// The line, for a work of that name.
    func line(_ work: String) -> String { JSONValue.object([("work", .text(work))] + members).description }

    var json: JSONValue { .object(members) }

    private var members: [(String, JSONValue)] {
        let usual = [("operations", operations), ("wall_ns", wall), ("cpu_ns", cpu), ("peak_kib", peak)]
        return (usual + extras.map { ($0.name, $0.value) }).map { ($0, .number($1)) }
    }

    /// Reads such a line: an object of numbers, but for the work's name. Nil for anything else.
    init?(line: String) {
        guard line.hasPrefix("{"), line.hasSuffix("}") else { return nil }
        var numbers: [Extra] = []
        for member in line.dropFirst().dropLast().split(separator: ",") {
            let parts = member.split(separator: ":")
            guard parts.count == 2 else { return nil }
            let name = String(parts[0].filter { $0 != "\"" && $0 != " " })
            if name == "work" { continue }
            guard let value = Int(parts[1].filter { $0 != " " }) else { return nil }
            numbers.append(Extra(name: name, value: value))
        }
        self.init(operations: 0, wall: 0, cpu: 0, peak: 0, extras: numbers)
        guard let operations = self["operations"], operations > 0, let wall = self["wall_ns"],
            let cpu = self["cpu_ns"], let peak = self["peak_kib"]
        else { return nil }
        (self.operations, self.wall, self.cpu, self.peak) = (operations, wall, cpu, peak)
        extras.removeAll { ["operations", "wall_ns", "cpu_ns", "peak_kib"].contains($0.name) }
    }
}
