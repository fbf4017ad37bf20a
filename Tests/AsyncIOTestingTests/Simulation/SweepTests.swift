import AsyncIO
import AsyncIOTestSupport
import Testing

@testable import AsyncIOTesting

@Suite("A sweep")
struct SweepTests {
    @Test("runs every seed once")
    func seeds() async throws {
        let recorder = Notes<UInt64>()
        let report = try await Simulation.seeds(5...24).run { recorder.record($0.seed) }
        #expect(recorder.all.sorted() == Array(5...24))
        #expect(report.runs == 20)
    }

    @Test("names the seeds that fail, and how to see the first one again")
    func failures() async throws {
        let failure = try await #require(throws: SweepFailure.self) {
            try await Simulation.seeds(1...9).run { world in
                world.check(world.seed % 4 != 0, "it is a multiple of four")
            }
        }
        #expect(failure.report.failures.map(\.seed) == [4, 8])
        #expect("\(failure)".contains("2 seeds fail: 4, 8"))
        #expect("\(failure)".contains("ASYNCIO_SEED=4"))
        #expect("\(failure)".contains("it is a multiple of four"))
        #expect(failure.shrunk?.choices == [])
    }

    @Test(
        "shares the seeds out without a gap",
        arguments: [1...1, 1...2000, 7...8, 0...UInt64.max, UInt64.max...UInt64.max])
    func parts(seeds: ClosedRange<UInt64>) {
        for count in [1, 2, 8, 100] {
            let parts = SimulationSweep.parts(of: seeds, count: count)
            #expect(parts.first?.lowerBound == seeds.lowerBound)
            #expect(parts.last?.upperBound == seeds.upperBound)
            #expect(parts.count <= count || seeds.upperBound - seeds.lowerBound == .max)
            for (part, next) in zip(parts, parts.dropFirst()) { #expect(part.upperBound + 1 == next.lowerBound) }
        }
    }

    @Test("in processes: a seed that ends its process is one that fails, and all others run")
    func crashes() async throws {
        let run = try await ProbeRun.of("scenarios", "crashes", "1", "30")
        #expect(run.lines == ["26 seeds have run; ended the process: [7, 14, 21, 28]"])
        #expect(run.ending == .exited(0))
    }

    @Test("brings a failure's text over from another process as it was")
    func texts() {
        for text in ["", "one line", "two\nlines and a \"quote\"", "a tab\tand a back\\slash"] {
            #expect(SimulationSweep.unescaped(Substring(text.debugDescription)) == text)
        }
    }
}

@Suite("A process of a sweep")
struct SweepProgressTests {
    @Test("says how far it has come, so that another one can go on behind a seed that has ended it")
    func progress() {
        var (progress, report) = (SweepProgress(first: 10), SweepReport())
        #expect(progress.seed == 10 && !progress.hasBegun && !progress.isDone)
        for line in ["begin 10", "ran 10 100 7", "begin 11", "failure 11 \"it is\\nodd\"", "ran 11 50 1", "begin 12"] {
            #expect(progress.note(Substring(line), in: &report) == line.hasPrefix("begin"))
        }
        #expect(progress.seed == 12 && progress.hasBegun && !progress.isDone)
        #expect(report.runs == 2 && report.events == 150 && report.hash == 6)
        #expect(report.failures.map(\.seed) == [11] && report.failures.map(\.text) == ["it is\nodd"])
        _ = progress.note("done", in: &report)
        #expect(progress.isDone)
    }
}
