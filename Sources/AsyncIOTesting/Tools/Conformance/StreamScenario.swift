public import AsyncIO
import AsyncIOKernel
import AsyncIOLoop
import SystemPackage

/// What a kind of stream can do beyond carrying bytes: scenarios that need more are left out.
public struct StreamCapabilities: OptionSet, Sendable {
    /// One bit for each capability.
    public let rawValue: Int
    /// Wraps bits.
    public init(rawValue: Int) { self.rawValue = rawValue }

    /// The peer gets `ECONNRESET` when one end breaks off.
    public static let abortIsSeen = StreamCapabilities(rawValue: 1)
    /// Writing to a peer that has closed fails, sooner or later.
    public static let closeIsSeen = StreamCapabilities(rawValue: 2)

    /// What a TCP connection can do.
    public static let all: StreamCapabilities = [.abortIsSeen, .closeIsSeen]
}

/// Where scenarios run: a factory of connected pairs, and what its streams can do.
public struct StreamStand: Sendable {
    /// Two ends of one connection.
    public typealias Pair = (any ByteStream, any ByteStream)

    let can: StreamCapabilities
    private let makePair: @Sendable () async throws -> Pair
    private let isTurned: Bool

    /// More bytes than all that lies between the two ends will hold.
    let bulk: Int

    init(
        can: StreamCapabilities, bulk: Int, isTurned: Bool, makePair: @escaping @Sendable () async throws -> Pair
    ) {
        self.can = can
        self.bulk = bulk
        self.isTurned = isTurned
        self.makePair = makePair
    }

    /// A number of bytes that is big for a single call.
    var huge: Int { bulk < 4 << 20 ? bulk : 32 << 20 }

    /// A number of bytes that takes many reads and writes.
    var some: Int { min(4 << 20, bulk) }

    /// Two ends that nobody has used.
    func pair() async throws -> Pair {
        let (one, other) = try await makePair()
        return isTurned ? (other, one) : (one, other)
    }

    /// Runs a body in a task that can be cancelled, where the scenario runs.
    func start<Success: Sendable>(
        _ name: String, _ body: @escaping @Sendable () async throws -> Success
    ) -> Task<Success, any Error> {
        Task(name: name, executorPreference: EventLoop.current) { try await body() }
    }
}

/// One thing that every `ByteStream` does: a sentence that has to be true, and how to see whether it is.
///
/// A test framework with parameterized tests runs ``all`` of them by name; ``checkByteStream(can:bulk:from:makePair:)``
/// runs them in one go.
public struct StreamScenario: Sendable, CustomStringConvertible {
    /// The sentence that has to be true.
    public let name: String
    let needs: StreamCapabilities
    private let body: @Sendable (StreamStand) async throws -> Void

    init(
        _ name: String, needs: StreamCapabilities = [], _ body: @escaping @Sendable (StreamStand) async throws -> Void
    ) {
        self.name = name
        self.needs = needs
        self.body = body
    }

    /// The sentence.
    public var description: String { name }

    /// All of them.
    public static let all: [StreamScenario] = reading + writing + ending + breaking + cancelling + sharing

    /// From which ends a scenario is run: from both where they differ.
    public enum Ends: Sendable {
        /// From the first one: the two are alike.
        case first
        /// From each of them.
        case both
    }

    /// Runs the scenario. Nothing is done if the streams cannot do what it needs. A scenario that hangs is for the
    /// test's own time limit.
    ///
    /// - Parameters:
    ///   - can: What the streams can do beyond carrying bytes.
    ///   - bulk: More than all that lies between the ends holds: a writer waits when nobody reads so much.
    ///   - ends: Whether it is run from the other end, too.
    ///   - makePair: Makes two connected ends that nobody has used, on the loop of the calling task.
    /// - Throws: A ``ConformanceFailure`` if its sentence is not true.
    public func run(
        can: StreamCapabilities = .all, bulk: Int = 48 << 20, from ends: Ends = .both,
        makePair: @escaping @Sendable () async throws -> StreamStand.Pair
    ) async throws {
        guard can.isSuperset(of: needs) else { return }
        for isTurned in ends == .both ? [false, true] : [false] {
            do {
                try await body(StreamStand(can: can, bulk: bulk, isTurned: isTurned, makePair: makePair))
            } catch {
                throw ConformanceFailure(
                    contract: "ByteStream", sentence: isTurned ? "\(name) (from the other end)" : name,
                    detail: "\(error)")
            }
        }
    }
}

/// Checks that a kind of stream does what every `ByteStream` does: some forty sentences about order, backpressure,
/// half-close, close, abort, cancellation and rival readers and writers.
///
/// ```swift
/// try await withEventLoop { loop in
///     try await checkByteStream(can: .all, bulk: 1 << 20) { try await connectedPairOfMine(on: loop) }
/// }
/// ```
///
/// Takes seconds: big amounts are carried. Throws ``ConformanceFailures`` with every sentence that is not true. See
/// ``StreamScenario/run(can:bulk:from:makePair:)`` for the parameters.
public func checkByteStream(
    can: StreamCapabilities = .all, bulk: Int = 48 << 20, from ends: StreamScenario.Ends = .both,
    makePair: @escaping @Sendable () async throws -> StreamStand.Pair
) async throws {
    try await ConformanceFailures.collect(StreamScenario.all) { scenario in
        try await scenario.run(can: can, bulk: bulk, from: ends, makePair: makePair)
    }
}
