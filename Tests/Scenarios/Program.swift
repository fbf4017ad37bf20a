import AsyncIO
import AsyncIOTesting
import Glibc

@main struct Program {
    static func main() throws {
        let arguments = CommandLine.arguments.dropFirst()
        switch arguments.first {
        case "echo":
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
        case "chat":
            var simulation = Simulation(seed: 1)
            simulation.timeLimit = .seconds(100_000)
            let clock = ContinuousClock()
            let start = clock.now
            let people = arguments.dropFirst().first.flatMap { Int($0) } ?? 1000
            let report = simulation.reportNow { world in
                try await ChatSoak.run(world, people: people, lasting: .seconds(86_400))
            }
            let figures = try report.result.get()
            print(
                "\(figures.visits) visits, \(figures.said) lines said, \(figures.heard) heard; \(report.elapsed) simulated in",
                start.duration(to: clock.now), String(report.traceHash, radix: 16))
        case "sweep":
            let numbers = arguments.dropFirst().compactMap { UInt64($0) }
            let first = numbers.first ?? 1
            let last = numbers.count > 1 ? numbers[1] : first
            let sweep = Simulation.seeds(first...max(first, last))
            try EventLoop.run {
                do {
                    let report = try await sweep.run { try await WholeStack.run($0) }
                    print(report.runs, report.events, String(report.hash, radix: 16))
                } catch {
                    print(error)
                    exit(1)
                }
            }
        default:
            print("scenarios echo | sweep FIRST LAST")
        }
    }
}
