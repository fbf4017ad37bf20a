import AsyncIO
import AsyncIOTesting

@main struct Program {
    static func main() throws {
        var simulation = Simulation(seed: 1)
        simulation.turnLimit = 1 << 40
        let clock = ContinuousClock()
        for _ in 0..<3 {
            let start = clock.now
            let report = simulation.reportNow { world in
                try await EchoScenario.run(world, exchanges: 100_000)
            }
            let time = start.duration(to: clock.now)
            try report.result.get()
            print(report.traceHash, report.events, report.elapsed, time)
        }
    }
}
