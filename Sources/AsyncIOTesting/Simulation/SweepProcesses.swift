import AsyncIO
import AsyncIOKernel
import AsyncIOLoop
import CAsyncIO
import Glibc
import SystemPackage

/// The part of a sweep that a process has been started for.
struct SweepPart: Sendable {
    let name: String
    let seeds: ClosedRange<UInt64>

    static let variable = "ASYNCIO_SWEEP"
    /// What a line begins with that is meant for the process that has started this one.
    static let mark = "\u{1}sweep "

    /// The part of this process, if it was started for one: `FILE:LINE first last`.
    static let ofThisProcess: SweepPart? = {
        guard let text = unsafe getenv(variable).map({ unsafe String(cString: $0) }) else { return nil }
        let words = text.split(separator: " ")
        guard words.count >= 3, let first = UInt64(words[words.count - 2]), let last = UInt64(words[words.count - 1]),
            first <= last
        else { return nil }
        return SweepPart(name: words.dropLast(2).joined(separator: " "), seeds: first...last)
    }()

    var value: String { "\(name) \(seeds.lowerBound) \(seeds.upperBound)" }

    /// Tells the process that has started this one, on a line of its own, whatever the body prints.
    func say(_ text: String) {
        fflush(nil)
        // Whatever happens to the other process, this one only works for it.
        try? SystemCall.writeAll(Array("\n\(Self.mark)\(text)\n".utf8), to: STDOUT_FILENO)
    }

    /// The name of a sweep: where it stands in the source, and how many times the program has come there.
    static func name(_ place: String) -> String {
        let number = visits.withLock { visits in
            visits[place, default: 0] += 1
            return visits[place, default: 0]
        }
        return "\(place)#\(number)"
    }

    private static let visits = Locked<[String: Int]>([:])
}

extension SimulationSweep {
    /// How many processes of one part may die before the rest of it is given up.
    private static let mostDeaths = 20

    /// Starts the program again for a part of the seeds, and returns what it says of them. A seed that ends its process
    /// has failed; the next process goes on behind it.
    static func runProcess(
        _ seeds: ClosedRange<UInt64>, _ name: String, _ patience: Duration
    ) async throws -> SweepReport {
        var report = SweepReport()
        var next = seeds.lowerBound
        for deaths in 1...mostDeaths {
            let part = SweepPart(name: name, seeds: next...seeds.upperBound)
            guard let death = try await runProcess(part, patience, into: &report) else { return report }
            // One that has not come to the sweep at all never will.
            let isLast = deaths == mostDeaths || !death.hasBegun
            var text = death.text
            if isLast && death.seed < seeds.upperBound {
                text += "; the seeds up to \(seeds.upperBound) have not run"
            }
            report.failures.append(.init(seed: death.seed, text: text, isRepeatable: false))
            guard !isLast, death.seed < seeds.upperBound else { return report }
            next = death.seed + 1
        }
        return report
    }

    /// A process that has not come to its end, and the seed that it was at.
    private typealias Death = (seed: UInt64, hasBegun: Bool, text: String)

    private static func runProcess(
        _ part: SweepPart, _ patience: Duration, into report: inout SweepReport
    ) async throws -> Death? {
        var command = Command("/proc/self/exe", Array(CommandLine.arguments.dropFirst()))
        command.name = CommandLine.arguments.first
        // The order of sets and dictionaries is the same for all.
        command.environment = .inherit(adding: [SweepPart.variable: part.value, "SWIFT_DETERMINISTIC_HASHING": "1"])
        let process = try await Process.spawn(command, input: .null, output: .pipe)
        // However this ends, the process does.
        defer { _ = try? process.signal(.kill) }
        var progress = SweepProgress(first: part.seeds.lowerBound)
        var isLate = false
        let clock = ContinuousClock()
        var deadline = clock.now + patience
        if let output = process.output {
            let lines = BufferedReader(output).lines(limit: 1 << 20).makeAsyncIterator()
            do {
                while let line = try await withTimeout(
                    max(deadline - clock.now, .zero), { _ in try await lines.next() })
                {
                    guard line.hasPrefix(SweepPart.mark) else { continue }
                    if progress.note(line.dropFirst(SweepPart.mark.count), in: &report) {
                        deadline = clock.now + patience
                    }
                }
            } catch is TimeoutError {
                isLate = true
            }
        }
        let status = try await process.terminate(Termination(grace: .zero))
        if progress.isDone { return nil }
        let text = isLate ? "not ended within \(patience) of real time" : "the process has ended: \(status)"
        return (progress.seed, progress.hasBegun, text)
    }

    /// The text that `debugDescription` has put into quotes.
    static func unescaped(_ text: Substring) -> String {
        var result = ""
        var isEscaped = false
        for character in text.dropFirst().dropLast() {
            if isEscaped {
                result.append(character == "n" ? "\n" : character == "t" ? "\t" : character)
                isEscaped = false
            } else if character == "\\" {
                isEscaped = true
            } else {
                result.append(character)
            }
        }
        return result
    }
}

/// How far a process has come with its part.
struct SweepProgress {
    /// The seed that it is at.
    private(set) var seed: UInt64
    private(set) var hasBegun = false
    private(set) var isDone = false

    init(first: UInt64) { seed = first }

    /// Takes a line of the process. True if it has begun another seed.
    mutating func note(_ line: Substring, in report: inout SweepReport) -> Bool {
        let words = line.split(separator: " ", maxSplits: 2)
        switch words.first {
        case "begin" where words.count == 2:
            seed = UInt64(words[1]) ?? seed
            hasBegun = true
            return true
        case "failure" where words.count == 3:
            report.failures.append(
                .init(seed: UInt64(words[1]) ?? seed, text: SimulationSweep.unescaped(words[2])))
        case "ran" where words.count == 3:
            let numbers = words[2].split(separator: " ").compactMap { UInt64($0) }
            guard numbers.count == 2 else { break }
            report.runs += 1
            report.events &+= numbers[0]
            report.hash ^= numbers[1]
        case "done": isDone = true
        default: break
        }
        return false
    }
}

/// What came of a sweep.
public struct SweepReport: Sendable {
    /// A seed that fails.
    public struct Failure: Sendable {
        /// The seed.
        public let seed: UInt64
        /// What went wrong.
        public let text: String
        /// Whether it can be looked at again in this process: it has neither crashed nor hung its own.
        var isRepeatable = true
    }

    /// How many seeds have run.
    public internal(set) var runs = 0
    /// How many events there were in all runs.
    public internal(set) var events: UInt64 = 0
    /// A hash over the traces of all runs, in whatever order they ran.
    public internal(set) var hash: UInt64 = 0
    /// The seeds that fail.
    public internal(set) var failures: [Failure] = []

    /// Adds a seed's run, and returns its failure.
    @discardableResult
    mutating func add(_ report: SimulationReport<Void>) -> Failure? {
        runs += 1
        events += report.events
        hash ^= Self.hash(of: report)
        guard case .failure = report.result else { return nil }
        let failure = Failure(seed: report.seed, text: report.result.failureText)
        failures.append(failure)
        return failure
    }

    /// What a run adds to the hash.
    static func hash(of report: SimulationReport<Void>) -> UInt64 {
        (report.traceHash ^ report.seed) &* 0x9e37_79b9_7f4a_7c15
    }

    mutating func add(_ other: SweepReport) {
        runs += other.runs
        events += other.events
        hash ^= other.hash
        failures += other.failures
    }
}

/// Some seeds of a sweep fail.
public struct SweepFailure: Error, CustomStringConvertible {
    /// What came of all of them.
    public let report: SweepReport
    /// The first failure, reduced to what it needs.
    public let shrunk: ShrunkFailure?

    init(_ report: SweepReport, _ shrunk: ShrunkFailure?) {
        self.report = report
        self.shrunk = shrunk
    }

    /// The seeds, the command that shows the first one again, and why it fails.
    public var description: String {
        let seeds = report.failures.map { "\($0.seed)" }
        let command = CommandLine.arguments.map { $0.contains(" ") ? "'\($0)'" : $0 }.joined(separator: " ")
        var text =
            "\(seeds.count) seeds fail: \(seeds.prefix(20).joined(separator: ", "))\(seeds.count > 20 ? ", …" : "")"
        if let first = report.failures.first {
            let variables = "ASYNCIO_SEED=\(first.seed) SWIFT_DETERMINISTIC_HASHING=1"
            text += "\nto see the first one again: \(variables) \(command)\n\(first.text)"
        }
        if let shrunk { text += "\nreduced: \(shrunk)" }
        return text
    }
}
