import AsyncIO
import AsyncIOKernel
import AsyncIOLoop
import CAsyncIO

/// A run of a simulated world.
///
/// ```swift
/// try await Simulation(seed: 7).run { world in
///     let server = try world.addHost("server")
///     let client = try world.addHost("client")
///     try server.program { try await serveEcho(port: 7) }
///     try await client.run {
///         let stream = try await TCPStream.connect("server", 7)
///         …
///     }
/// }
/// ```
///
/// The same seed gives the same run, to the byte: ``SimulationOutcome/traceHash`` says so.
public struct Simulation: Sendable {
    /// What everything that is left to chance is drawn from.
    public var seed: UInt64
    /// How unkind the world is.
    public var faults = SimulationFaults()
    /// How much simulated time the body may take.
    public var timeLimit = Duration.seconds(86_400)
    /// How long, in simulated time, a task may wait at a lock, an event, a queue or another place where only others can
    /// wake it, before the run fails and names it; nil means for ever.
    ///
    /// A run in which nothing at all can happen fails in any case. This is for those that go on although a part of them
    /// is stuck: their clocks tick. Waits for a time, for the network, files and children do not count; nor does one
    /// for another task's end, but what that one waits for does.
    public var stuckAfter: Duration?
    /// Who does blocking work.
    public var blockingWork = BlockingWork.atOnce
    /// How many turns loops may take without time going on.
    public var turnLimit = 1_000_000
    /// How many of the last events a failure tells of.
    public var timelineLength = 40

    /// What becomes of blocking work, which is given to `offload`.
    public enum BlockingWork: Sendable {
        /// It is done at once, on the simulation's thread, and its end comes after a while that is drawn from the seed.
        /// What waits there for anybody of the simulation waits for ever.
        case atOnce
        /// It is done by the loop's threads, for real, and time stands still until it has come home.
        ///
        /// When it comes home among the other things that can happen at that instant is up to the machine, and so are
        /// seeds and trace hashes from there on: a run is repeatable as long as nothing else is ready meanwhile, or
        /// does not mind. The work sees the real machine: what it opens is real, and plain tasks that it starts stay on
        /// Swift's own threads.
        case onThreads
    }

    /// Creates a simulation.
    public init(seed: UInt64 = 0) { self.seed = seed }

    /// Runs a body in a new world, on the calling thread, and returns its value.
    ///
    /// Blocks the thread, as `EventLoop.run` does. Throws ``SimulationFailure`` with the body's error, or with what
    /// went wrong: a deadlock, a call that is not simulated, an error on a host.
    @available(*, noasync, message: "use the asynchronous run, which does not block a thread of Swift's pool")
    public func run<Success: Sendable>(_ body: sending @escaping (World) async throws -> Success) throws -> Success {
        try perform(body).result.get()
    }
}

extension Simulation {
    /// Runs a body in a new world on a thread of its own, and returns its value.
    ///
    /// Suspends until it has ended. Throws as the other ``run(_:)``. Cancelling the caller does not end a simulation:
    /// it has limits of its own.
    public func run<Success: Sendable>(
        _ body: @escaping @Sendable (World) async throws -> Success
    ) async throws -> Success {
        try await report(body).result.get()
    }

    /// Runs a body in a new world on a thread of its own, and returns what came of it: also the trace's hash.
    public func report<Success: Sendable>(
        _ body: @escaping @Sendable (World) async throws -> Success
    ) async -> SimulationReport<Success> {
        do {
            return try await onOwnThread("simulation") { perform(body) }
        } catch {
            return SimulationReport(
                result: .failure(error), seed: seed, traceHash: 0, events: 0, elapsed: .zero, choices: 0)
        }
    }

    /// Runs a body in a new world on the calling thread, and returns what came of it.
    @available(*, noasync, message: "use the asynchronous report, which does not block a thread of Swift's pool")
    public func reportNow<Success: Sendable>(
        _ body: sending @escaping (World) async throws -> Success
    ) -> SimulationReport<Success> {
        perform(body)
    }

    /// Runs a body on the calling thread. With a set of choices, only those of the run are unkind.
    func perform<Success: Sendable>(
        only allowed: Set<Int>? = nil, keepsChoices: Bool = false,
        _ body: sending @escaping (World) async throws -> Success
    ) -> SimulationReport<Success> {
        let world = World(self, only: allowed, keepsChoices: keepsChoices)
        let ending = BodyEnding<Success>()
        let mark = ending.mark
        let work = BodyWork(body)
        let result: Result<Success, any Error>
        do {
            let loop = try world.makeDirector().loop
            let task = loop.visit {
                loop.begin("simulation") { @Sendable in
                    do { ending.result = .success(try await work.body(world)) } catch {
                        ending.result = .failure(error)
                    }
                    ending.mark.isSet = true
                }
            }
            world.turn { mark.isSet }
            if ending.result == nil {
                task.cancel()
                world.unwind { mark.isSet }
            }
            world.end()
            if let failure = world.failure {
                result = .failure(failure)
            } else {
                result = ending.result ?? .failure(SimulationError.deadlock([]))
            }
        } catch {
            result = .failure(error)
        }
        return SimulationReport(
            result: result.mapError { SimulationFailure($0, world) }, seed: seed, traceHash: world.trace.hash,
            events: world.trace.count, elapsed: world.elapsed, choices: world.perturbations.count,
            unkind: world.perturbations.unkind)
    }
}

/// What came of a run.
public struct SimulationReport<Success: Sendable>: Sendable {
    /// The body's value, or a ``SimulationFailure``.
    public let result: Result<Success, any Error>
    /// The seed of the run.
    public let seed: UInt64
    /// A hash over everything that has happened: two runs with the same one have done the same.
    public let traceHash: UInt64
    /// How many events that were.
    public let events: UInt64
    /// How much simulated time has passed.
    public let elapsed: Duration
    /// How many choices the world has made.
    public let choices: Int
    /// Those that were not kind.
    var unkind: [Perturbations.Choice] = []
}

/// A run has failed: why, when, and how to see it again.
public struct SimulationFailure: Error, CustomStringConvertible {
    /// The body's error, or a ``SimulationError``.
    public let error: any Error
    /// The seed that shows it again.
    public let seed: UInt64
    /// When, in simulated time.
    public let elapsed: Duration
    /// The last events, a line each.
    public let timeline: String

    init(_ error: any Error, _ world: World) {
        self.error = error
        seed = world.seed
        elapsed = world.elapsed
        timeline = world.trace.timeline(since: World.start)
    }

    /// The error, the seed, how to repeat it, and the last events.
    public var description: String {
        """
        seed \(seed), after \(elapsed): \(error)
        to see it again: ASYNCIO_SEED=\(seed), or Simulation(seed: \(seed))
        the last events:
        \(timeline)
        """
    }
}

/// Where a body leaves its result. Written and read on the simulation's thread.
private final class BodyEnding<Success>: @unchecked Sendable {
    var result: Result<Success, any Error>?
    /// Says that there is one: it is asked for each turn, and what knows no type is asked faster.
    let mark = EndingMark()
}

private final class EndingMark {
    @safe @exclusivity(unchecked) var isSet = false
}

/// Brings a body to its task. It is called once, on the thread that made it.
private struct BodyWork<Success>: @unchecked Sendable {
    let body: (World) async throws -> Success
    init(_ body: sending @escaping (World) async throws -> Success) { self.body = body }
}
