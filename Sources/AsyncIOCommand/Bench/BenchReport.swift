import AsyncIO
import Glibc

/// What a report says of one work: medians of its rounds.
struct WorkResult: Sendable {
    let work: Work
    /// In the order of the rounds.
    var measurements: [Measurement] = []

    /// Processor time of an operation, in nanoseconds.
    var cpu: Double { median { Double($0.cpu) / Double($0.operations) } }
    /// The clock's time of an operation, in nanoseconds.
    var wall: Double { median { Double($0.wall) / Double($0.operations) } }
    /// The process's peak, in KiB.
    var peak: Int { Int(median { Double($0.peak) }) }
    /// The memory of an operation, in bytes, where that is what a work is about.
    var bytesEach: Int? { extra("bytes_each") }

    /// How far apart the rounds' processor times are, as a part of their median; nil for one round.
    var spread: Double? {
        let times = measurements.map { Double($0.cpu) / Double($0.operations) }
        guard times.count > 1, let least = times.min(), let most = times.max(), cpu > 0 else { return nil }
        return (most - least) / cpu
    }

    func extra(_ name: String) -> Int? {
        guard measurements.first?[name] != nil else { return nil }
        return Int(median { Double($0[name] ?? 0) })
    }

    private func median(_ value: (Measurement) -> Double) -> Double {
        let values = measurements.map(value).sorted()
        guard !values.isEmpty else { return 0 }
        let middle = values.count / 2
        return values.count.isMultiple(of: 2) ? (values[middle - 1] + values[middle]) / 2 : values[middle]
    }
}

/// The report of `asyncio bench`.
struct BenchReport {
    let results: [WorkResult]
    let driver: String
    private let machine = Machine.here

    /// How the program was compiled.
    #if DEBUG
    static let build = "debug"
    #else
    static let build = "release"
    #endif

    // MARK: For people

    func text(_ paint: Paint) -> String {
        var lines = [paint.bold("swift-asyncio on \(driver)") + ", for one operation: medians of \(roundsText)"]
        lines.append(paint.dim(machine.description))
        if Self.build == "debug" {
            lines.append("A debug build's figures mean little. Rather: swift run -c release asyncio bench")
        }
        for chapter in Work.chapters {
            let rows = results.filter { result in chapter.works.contains { $0.name == result.work.name } }
            if rows.isEmpty { continue }
            let heading = Self.row([chapter.title, "CPU", "WALL", "MEMORY", "SPREAD"], "")
            lines += ["", paint.bold(heading)]
            lines += rows.map { Self.row(cells($0), summary($0)) }
        }
        lines.append("")
        lines.append(paint.dim("SPREAD: how far apart the rounds' CPU times lie. MEMORY: what each one holds."))
        return lines.joined(separator: "\n")
    }

    private var roundsText: String {
        let counts = Set(results.map(\.measurements.count)).sorted()
        let numbers = counts.map { "\($0)" }.joined(separator: " or ")
        return counts == [1] ? "1 round" : "\(numbers) rounds"
    }

    private func cells(_ result: WorkResult) -> [String] {
        let isSleeping = result.work.pace == .sleeping
        return [
            result.work.name, Self.time(result.cpu), isSleeping ? "" : Self.time(result.wall),
            result.bytesEach.map(Self.bytes) ?? "", result.spread.map { "\(Int(($0 * 100).rounded())) %" } ?? "",
        ]
    }

    private func summary(_ result: WorkResult) -> String {
        guard let late = result.extra("late_ns") else { return result.work.summary }
        if let early = result.extra("early"), early > 0 { return "\(early) of them fired early!" }
        return "fires; the last \(Self.time(Double(late))) late"
    }

    private static let widths = [13, 8, 8, 8, 7]

    private static func row(_ cells: [String], _ last: String) -> String {
        var line = ""
        for (index, cell) in cells.enumerated() {
            line += index == 0 ? Columns.fit(cell, widths[0]) : " " + Columns.fit(cell, widths[index], right: true)
        }
        return last.isEmpty ? line : line + "  " + last
    }

    /// Nanoseconds in three digits, with the unit that suits.
    static func time(_ nanoseconds: Double) -> String {
        switch nanoseconds {
        case ..<999.5: "\(digits(nanoseconds)) ns"
        case ..<999_500: "\(digits(nanoseconds / 1e3)) us"
        case ..<999_500_000: "\(digits(nanoseconds / 1e6)) ms"
        default: "\(digits(nanoseconds / 1e9)) s"
        }
    }

    /// Bytes in three digits.
    static func bytes(_ count: Int) -> String {
        switch count {
        case ..<1_000: "\(count) B"
        case ..<999_500: "\(digits(Double(count) / 1e3)) KB"
        default: "\(digits(Double(count) / 1e6)) MB"
        }
    }

    private static func digits(_ number: Double) -> String {
        let decimals = number < 9.995 ? 2 : number < 99.95 ? 1 : 0
        return fixed(number, decimals)
    }

    /// With so many decimals, all of them written.
    private static func fixed(_ number: Double, _ decimals: Int) -> String {
        let scale = decimals == 0 ? 1 : decimals == 1 ? 10 : 100
        let all = Int((max(number, 0) * Double(scale)).rounded())
        if decimals == 0 { return "\(all)" }
        let rest = "\(all % scale)"
        return "\(all / scale)." + String(repeating: "0", count: decimals - rest.count) + rest
    }

    /// What `--list` prints.
    static var list: String {
        var table = Table(["NAME", "OPERATIONS", "WHAT ONE IS"], right: [false, true, false])
        for work in Work.all { table.add([work.name, Texts.count(work.count), work.summary]) }
        return table.text
    }

    // MARK: For programs

    var json: JSONValue {
        .object([
            ("library", .text("swift-asyncio")), ("driver", .text(driver)), ("build", .text(Self.build)),
            ("system", .text(machine.system)), ("processor", .text(machine.processor)),
            ("processors", .number(machine.processors)), ("works", .list(results.map(json))),
        ])
    }

    private func json(_ result: WorkResult) -> JSONValue {
        .object([
            ("work", .text(result.work.name)), ("summary", .text(result.work.summary)),
            ("cpu_ns_each", .number(Self.fixed(result.cpu, 2))), ("wall_ns_each", .number(Self.fixed(result.wall, 2))),
            ("spread", result.spread.map { .number(Self.fixed($0, 2)) } ?? .text(nil)),
            ("peak_kib", .number(result.peak)), ("bytes_each", .number(result.bytesEach)),
            ("rounds", .list(result.measurements.map(\.json))),
        ])
    }
}

/// The machine, as far as figures depend on it.
struct Machine {
    let system: String
    let processor: String
    let processors: Int

    /// This one.
    static var here: Machine {
        let kernel = (InspectedProcess.contents(of: "/proc/sys/kernel/osrelease") ?? "").trimmed
        let lines = (InspectedProcess.contents(of: "/proc/cpuinfo") ?? "").split(separator: "\n")
        let model = lines.first { $0.hasPrefix("model name") }?.split(separator: ":").last.map { $0.trimmed }
        return Machine(
            system: "Linux \(kernel)", processor: model ?? "a processor", processors: LoopGroup.usableCores)
    }
}

extension Machine: CustomStringConvertible {
    var description: String {
        Columns.cut("\(Columns.cut(processor, 40)), \(processors) cores, \(system), \(BenchReport.build) build", 80)
    }
}
