import AsyncIO
import AsyncIOKernel
import AsyncIOLoop
import Glibc
import SystemPackage

extension Simulation {
    /// One simulation for each of many seeds.
    ///
    /// ```swift
    /// try await Simulation.seeds(1...2000).run { world in … }
    /// ```
    ///
    /// With `ASYNCIO_SEED` in the environment, that seed alone.
    public static func seeds(_ seeds: ClosedRange<UInt64>) -> SimulationSweep { SimulationSweep(seeds) }
}

/// Simulations of one body for many seeds, in several processes at once.
///
/// In a program of your own the sweep starts the program again, with the same arguments, so many times at once as there
/// are processors; each process does a part of the seeds when it comes to this call, and ends there. So what stands
/// before the call runs in each of them. A seed whose process crashes has failed, and another one goes on behind it. In
/// a test runner, all seeds run in its process, one after the other.
public struct SimulationSweep: Sendable {
    /// The seeds.
    public var seeds: ClosedRange<UInt64>
    /// What all simulations have in common.
    public var simulation = Simulation()
    /// How many processes run at once; nil means one for each processor, or none besides this one in a test runner.
    public var processes: Int?
    /// How long one seed may take in real time, before its process is killed: a body that never suspends.
    public var patience = Duration.seconds(60)
    /// Whether the first failure is reduced to the choices that it needs.
    public var shrinks = true

    init(_ seeds: ClosedRange<UInt64>) { self.seeds = seeds }

    /// Runs the body once for each seed.
    ///
    /// Throws ``SweepFailure`` with the seeds that fail, after all have run. Suspends until then.
    @discardableResult
    public func run(
        fileID: String = #fileID, line: Int = #line, _ body: @escaping @Sendable (World) async throws -> Void
    ) async throws -> SweepReport {
        let report: SweepReport
        let name = SweepPart.name("\(fileID):\(line)")
        if let part = SweepPart.ofThisProcess {
            // Another sweep of the program: not what this process is here for.
            guard part.name == name else { return SweepReport() }
            try await onOwnThread("sweep") { runPart(part, body) }
            return SweepReport()
        } else if let seed = Self.seedAskedFor {
            report = try await runHere(seed...seed, body)
        } else if let processes = processes ?? Self.usualProcesses, processes > 1 {
            report = try await runInProcesses(name, processes)
        } else {
            report = try await runHere(seeds, body)
        }
        guard let first = report.failures.first else { return report }
        var shrunk: ShrunkFailure?
        if shrinks && first.isRepeatable {
            var failing = simulation
            failing.seed = first.seed
            let toShrink = failing
            shrunk = try await onOwnThread("shrinking") { toShrink.shrink(body) }
        }
        throw SweepFailure(report, shrunk)
    }

    static var seedAskedFor: UInt64? {
        unsafe getenv("ASYNCIO_SEED").flatMap { unsafe UInt64(String(cString: $0)) }
    }

    /// Nil in a test runner, which would run all its tests again.
    private static var usualProcesses: Int? {
        let arguments = CommandLine.arguments
        let isTestRunner = arguments.contains { $0.hasSuffix(".xctest") || $0 == "--testing-library" }
        return isTestRunner ? nil : SystemCall.usableProcessors
    }

    // MARK: In this process

    private func runHere(
        _ seeds: ClosedRange<UInt64>, _ body: @escaping @Sendable (World) async throws -> Void
    ) async throws -> SweepReport {
        try await onOwnThread("sweep") { runAll(seeds, body) { _ in } }
    }

    private func runAll(
        _ seeds: ClosedRange<UInt64>, _ body: @escaping @Sendable (World) async throws -> Void,
        say: (String) -> Void
    ) -> SweepReport {
        var report = SweepReport()
        for seed in seeds {
            say("begin \(seed)")
            var simulation = simulation
            simulation.seed = seed
            let run = simulation.perform(body)
            if let failure = report.add(run) { say("failure \(seed) \(failure.text.debugDescription)") }
            say("ran \(seed) \(run.events) \(SweepReport.hash(of: run))")
        }
        return report
    }

    // MARK: In several processes

    /// Runs this process's part, writes what came of it, and ends the process.
    private func runPart(_ part: SweepPart, _ body: @escaping @Sendable (World) async throws -> Void) {
        _ = runAll(part.seeds, body) { part.say($0) }
        part.say("done")
        exit(0)
    }

    private func runInProcesses(_ name: String, _ processes: Int) async throws -> SweepReport {
        let parts = Self.parts(of: seeds, count: processes * 4)
        let thread = try LoopThread(options: .init(name: "sweep", interrupts: []))
        defer { thread.close() }
        let patience = patience
        let work = thread.loop.submit(name: "sweep") {
            let reports = try await gatherEach(parts, limit: processes) { part in
                try await Self.runProcess(part, name, patience)
            }
            return reports.reduce(into: SweepReport()) { $0.add($1) }
        }
        return try await withTaskCancellationHandler {
            try await work.value
        } onCancel: {
            work.cancel()
        }
    }

    static func parts(of seeds: ClosedRange<UInt64>, count: Int) -> [ClosedRange<UInt64>] {
        let (total, isWhole) = (seeds.upperBound - seeds.lowerBound).addingReportingOverflow(1)
        let size = isWhole ? .max : max((total + UInt64(max(count, 1)) - 1) / UInt64(max(count, 1)), 1)
        var parts: [ClosedRange<UInt64>] = []
        var first = seeds.lowerBound
        while true {
            let (last, isTooFar) = first.addingReportingOverflow(size - 1)
            guard !isTooFar, last < seeds.upperBound else {
                parts.append(first...seeds.upperBound)
                return parts
            }
            parts.append(first...last)
            first = last + 1
        }
    }
}
