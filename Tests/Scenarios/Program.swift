import AsyncIO
import AsyncIOTesting
import Glibc

/// Whole programs in simulated worlds, for many seeds.
@main
enum Program {
    static func main() throws {
        let arguments = CommandLine.arguments.dropFirst()
        let numbers = arguments.dropFirst().compactMap { UInt64($0) }
        switch (arguments.first, numbers.count) {
        case ("echo", 1): try echo(exchanges: Int(clamping: numbers[0]))
        case ("chat", 1): try chat(people: Int(clamping: numbers[0]))
        case ("sweep", 2) where numbers[0] <= numbers[1]: try sweep(numbers[0]...numbers[1])
        case ("twice", 2) where numbers[0] <= numbers[1]: try twice(numbers[0]...numbers[1])
        case ("crashes", 2) where numbers[0] <= numbers[1]: try crashes(numbers[0]...numbers[1])
        default:
            print(
                """
                scenarios echo EXCHANGES      a client and an echo server
                scenarios chat PEOPLE         a day in the life of the chat server
                scenarios sweep FIRST LAST    clients, proxies and a server in bad weather, for each of the seeds
                scenarios twice FIRST LAST    the same, each seed twice; prints a hash over all traces
                scenarios crashes FIRST LAST  worlds of which every seventh ends the process
                """)
            exit(64)
        }
    }

    private static func echo(exchanges: Int) throws {
        var simulation = Simulation(seed: 1)
        simulation.turnLimit = .max
        let clock = ContinuousClock()
        let start = clock.now
        let report = simulation.reportNow { try await EchoScenario.run($0, exchanges: exchanges) }
        let time = start.duration(to: clock.now)
        try report.result.get()
        print("\(Int(Double(exchanges) / (time / .seconds(1)))) exchanges a second; trace \(hex(report.traceHash))")
    }

    private static func chat(people: Int) throws {
        var simulation = Simulation(seed: 1)
        simulation.timeLimit = .seconds(100_000)
        let clock = ContinuousClock()
        let start = clock.now
        let report = simulation.reportNow { try await ChatSoak.run($0, people: people, lasting: .seconds(86_400)) }
        let time = start.duration(to: clock.now)
        let figures = try report.result.get()
        print("\(figures.visits) visits, \(figures.said) lines said, \(figures.heard) heard")
        print("\(report.elapsed) simulated in \(time); trace \(hex(report.traceHash))")
    }

    private static func sweep(_ seeds: ClosedRange<UInt64>) throws {
        let report = try sweeping { try await Simulation.seeds(seeds).run { try await WholeStack.run($0) } }
        print("\(report.runs) seeds, \(report.events) events; traces \(hex(report.hash))")
    }

    private static func crashes(_ seeds: ClosedRange<UInt64>) throws {
        try EventLoop.run {
            var sweep = Simulation.seeds(seeds)
            sweep.processes = 2
            do {
                try await sweep.run { if $0.seed % 7 == 0 { kill(getpid(), SIGKILL) } }
            } catch let failure as SweepFailure {
                let crashed = failure.report.failures.map(\.seed).sorted()
                print("\(failure.report.runs) seeds have run; ended the process: \(crashed)")
            }
        }
    }

    private static func twice(_ seeds: ClosedRange<UInt64>) throws {
        let (first, second) = try sweeping {
            var sweep = Simulation.seeds(seeds)
            // In this process, and in as many as there are.
            sweep.processes = 1
            let first = try await sweep.run { try await WholeStack.run($0) }
            return (first, try await sweep.run { try await WholeStack.run($0) })
        }
        guard first.hash == second.hash else {
            print("the same seeds have left other traces: \(hex(first.hash)), then \(hex(second.hash))")
            exit(1)
        }
        print("\(first.runs) seeds twice, \(first.events) events; traces \(hex(first.hash))")
    }

    /// Runs a sweep, and says which seeds fail.
    private static func sweeping<Result: Sendable>(_ body: @escaping @Sendable () async throws -> Result) throws
        -> Result
    {
        try EventLoop.run {
            do {
                return try await body()
            } catch {
                print(error)
                exit(1)
            }
        }
    }

    private static func hex(_ number: UInt64) -> String { String(number, radix: 16) }
}
