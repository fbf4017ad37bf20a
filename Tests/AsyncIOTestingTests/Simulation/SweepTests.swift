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

    @Test("brings a failure's text over from another process as it was")
    func texts() {
        for text in ["", "one line", "two\nlines and a \"quote\"", "a tab\tand a back\\slash"] {
            #expect(SimulationSweep.unescaped(Substring(text.debugDescription)) == text)
        }
    }
}
