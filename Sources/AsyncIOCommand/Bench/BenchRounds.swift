import AsyncIO
import AsyncIOKernel
import Glibc

/// The rounds of a report: each measures each work once, in a process of its own, so that none pays for what another
/// has left behind.
struct BenchRounds: Sendable {
    let works: [Work]
    /// Nil for three, or one of what waits for timers.
    let rounds: Int?
    /// Nil for each work's own.
    let count: Int?
    let driver: DriverChoice

    /// How many rounds a work has.
    func rounds(of work: Work) -> Int { rounds ?? (work.pace == .sleeping ? 1 : 3) }

    /// How many operations a round of a work has. Some can be done only once.
    func count(of work: Work) -> Int { work.most == 1 ? 1 : count ?? work.count }

    func run() async throws -> [WorkResult] {
        var results = works.map { WorkResult(work: $0) }
        let most = works.map(rounds(of:)).max() ?? 0
        let progress = BenchProgress()
        defer { progress.end() }
        for round in 0..<most {
            for index in results.indices where round < rounds(of: works[index]) {
                progress.show("round \(round + 1) of \(most): \(works[index].name)")
                results[index].measurements.append(try await measure(works[index]))
            }
        }
        return results
    }

    private func measure(_ work: Work) async throws -> Measurement {
        let command = Command(
            "/proc/self/exe", ["bench", work.name, "\(count(of: work))", "--raw", "--driver", driver.rawValue])
        let stopwatch = Stopwatch()
        let result = try await Process.run(command, limit: OutputLimit(1 << 16))
        let wall = stopwatch.wall
        guard result.status.isSuccess, var measurement = Measurement(line: result.outputText.trimmed) else {
            throw WorkFailure(description: "\(work.name) failed (\(result.status)): \(result.errorText.trimmed)")
        }
        // It cannot know when it was started.
        if work.name == "start" { measurement.wall = wall }
        return measurement
    }
}

/// What is being measured, on a terminal: one line on standard error, drawn again and again.
private struct BenchProgress {
    private let isShown = isatty(STDERR_FILENO) == 1 && Console.isTerminal

    func show(_ text: String) { draw("\r\u{1b}[2K\(text)") }
    func end() { draw("\r\u{1b}[2K") }

    private func draw(_ text: String) {
        if isShown { try? SystemCall.writeAll(Array(text.utf8), to: STDERR_FILENO) }
    }
}
