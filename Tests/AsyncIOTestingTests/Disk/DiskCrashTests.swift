import AsyncIO
import AsyncIOTestSupport
import AsyncIOTesting
import SystemPackage
import Testing

@Suite("A crash of a simulated disk")
struct DiskCrashTests {
    private static let old = [UInt8](repeating: 1, count: 10_000)
    private static let new = [UInt8](repeating: 2, count: 15_000)

    /// Replaces a file, and loses the power after so many calls of the disk. Nil if the replacing was done by then.
    private func replaced(
        seed: UInt64, crashAfter calls: Int, _ loss: DiskFaults.CrashLoss, _ order: NameOrder,
        _ replace: @escaping @Sendable () async throws -> Void
    ) async throws -> (content: [UInt8], isDone: Bool) {
        try await Simulation(seed: seed).run { world in
            let host = try world.addHost("a")
            host.disk.faults.loss = loss
            host.disk.order = order
            try host.disk.write("/var/state", Self.old)
            host.disk.callsUntilCrash = calls
            var isDone = true
            do { try await host.run { try await replace() } } catch { isDone = false }
            host.disk.callsUntilCrash = nil
            if host.isUp { host.crash() }
            try host.restart()
            return (try host.disk.read("/var/state"), isDone)
        }
    }

    @Test("leaves the old file or the new one, wherever it comes while one replaces the other", arguments: 0..<40)
    func replacing(seed: UInt64) async throws {
        let order: NameOrder = seed % 2 == 0 ? .none : .journal
        for calls in 0..<16 {
            let (content, isDone) = try await replaced(seed: seed, crashAfter: calls, .anything, order) {
                try await File.replace("/var/state", with: Self.new)
            }
            #expect(content == Self.new || content == Self.old && !isDone, "seed \(seed), \(calls) calls")
        }
    }

    @Test("tears a file that is written in place, or loses it")
    func inPlace() async throws {
        var torn = 0
        for seed in UInt64(0)..<20 {
            let (content, _) = try await replaced(seed: seed, crashAfter: 3, .anything, .none) {
                try await withFile("/var/state", .writing(.createOrTruncate)) { try await $0.write(Self.new) }
            }
            if content != Self.old && content != Self.new { torn += 1 }
        }
        #expect(torn > 5)
        let (content, isDone) = try await replaced(seed: 1, crashAfter: 100, .everything, .none) {
            try await withFile("/var/state", .writing(.existing)) { try await $0.write(Self.new) }
        }
        #expect(content == Self.old && isDone)
        let (kept, _) = try await replaced(seed: 1, crashAfter: 100, .nothing, .none) {
            try await withFile("/var/state", .writing(.existing)) { try await $0.write(Self.new) }
        }
        #expect(kept == Self.new)
    }

    @Test("takes a new name whose folder was not synced, and its file with it; a journal keeps it with the file")
    func names() async throws {
        for (order, keeps) in [(NameOrder.none, false), (.journal, true)] {
            let files = try await Simulation(seed: 1).run { world in
                let host = try world.addHost("a")
                host.disk.order = order
                try await host.run {
                    try await withFile("/tmp/one", .writing(.createNew)) {
                        try await $0.write("1")
                        try await $0.sync()
                    }
                    try await Folder.sync(at: "/tmp")
                    try await withFile("/tmp/two", .writing(.createNew)) {
                        try await $0.write("2")
                        try await $0.sync()
                    }
                }
                host.crash()
                return host.disk.files
            }
            #expect(files == (keeps ? ["/tmp/one", "/tmp/two"] : ["/tmp/one"]))
        }
    }

    @Test(
        "comes before a renaming or after it, also from one folder to another", arguments: [NameOrder.none, .journal])
    func renaming(order: NameOrder) async throws {
        var outcomes: Set<[String]> = []
        for seed in UInt64(0)..<30 {
            outcomes.insert(
                try await Simulation(seed: seed).run { world in
                    let host = try world.addHost("a")
                    host.disk.faults.loss = .anything
                    host.disk.order = order
                    try host.disk.write("/from/a", [1])
                    try host.disk.makeFolder("/to")
                    try await host.run { try await File.rename("/from/a", to: "/to/b") }
                    host.crash()
                    return host.disk.files
                })
        }
        #expect(outcomes == [["/from/a"], ["/to/b"]])
    }

    @Test(
        "is survived by a log of lines: all that was told to be written, in order, and nothing else", arguments: 0..<60)
    func log(seed: UInt64) async throws {
        let (told, found) = try await Simulation(seed: seed).run { world in
            let host = try world.addHost("a")
            host.disk.faults.loss = .anything
            host.disk.faults.shortTransfers = 0.3
            let told = Locked<[String]>([])
            host.disk.callsUntilCrash = 1 + world.random(in: 0...80)
            try host.program {
                var log = try await LineLog.open("/log")
                for number in log.lines.count..<60 {
                    try await log.append("line \(number) " + String(repeating: "x", count: number * 7))
                    told.withLock { $0.append(log.lines.last ?? "") }
                }
            }
            while host.isUp && told.withLock({ $0.count }) < 60 { try await world.sleep(for: .milliseconds(1)) }
            host.disk.callsUntilCrash = nil
            if host.isUp { host.crash() }
            return (told.withLock { $0 }, try LineLog.lines(of: (try? host.disk.read("/log")) ?? []))
        }
        #expect(found.starts(with: told), "seed \(seed)")
        #expect(found.count <= told.count + 1, "seed \(seed)")
    }
}

/// A write-ahead log as small as can be: a line is its length, a checksum and its text, and is told to be there when
/// it was synced. What does not add up is the end.
private struct LineLog {
    private(set) var lines: [String]
    private let file: File
    private var end: Int64

    static func open(_ path: String) async throws -> LineLog {
        let file = try await File.open(path, .readingAndWriting(.createOrOpen))
        try await Folder.sync(at: "/")
        var bytes: [UInt8] = []
        while let part = try await file.read(upTo: 65_536, at: Int64(bytes.count)) { bytes += part }
        let lines = try Self.lines(of: bytes)
        return LineLog(lines: lines, file: file, end: Int64(lines.reduce(0) { $0 + 8 + $1.utf8.count }))
    }

    mutating func append(_ line: String) async throws {
        let text = Array(line.utf8)
        let record = Self.number(UInt32(text.count)) + Self.number(Self.checksum(text)) + text
        try await file.write(record, at: end)
        try await file.sync(.data)
        end += Int64(record.count)
        lines.append(line)
    }

    static func lines(of bytes: [UInt8]) throws -> [String] {
        var lines: [String] = []
        var rest = bytes[...]
        while rest.count > 8 {
            let count = Int(number(rest.prefix(4)))
            let text = rest.dropFirst(8).prefix(count)
            guard count > 0, text.count == count, number(rest.dropFirst(4).prefix(4)) == checksum(text) else { break }
            lines.append(String(decoding: text, as: UTF8.self))
            rest = rest.dropFirst(8 + count)
        }
        return lines
    }

    private static func number(_ value: UInt32) -> [UInt8] {
        (0..<4).map { UInt8(truncatingIfNeeded: value >> (8 * $0)) }
    }
    private static func number(_ bytes: ArraySlice<UInt8>) -> UInt32 {
        bytes.reversed().reduce(0) { $0 << 8 | UInt32($1) }
    }
    private static func checksum(_ bytes: some Sequence<UInt8>) -> UInt32 {
        bytes.reduce(2_166_136_261) { ($0 ^ UInt32($1)) &* 16_777_619 }
    }
}
