package import AsyncIO
import AsyncIOKernel
import AsyncIOLoop
import SystemPackage

/// What a kind of stream can do beyond carrying bytes: scenarios that need more are left out.
package struct StreamCapabilities: OptionSet, Sendable {
    package let rawValue: Int
    package init(rawValue: Int) { self.rawValue = rawValue }

    /// The peer gets `ECONNRESET` when one end breaks off.
    package static let abortIsSeen = StreamCapabilities(rawValue: 1)
    /// Writing to a peer that has closed fails, sooner or later.
    package static let closeIsSeen = StreamCapabilities(rawValue: 2)

    package static let all: StreamCapabilities = [.abortIsSeen, .closeIsSeen]
}

/// Where scenarios run: a factory of connected pairs, and what its streams can do.
package struct StreamStand: Sendable {
    package typealias Pair = (any ByteStream, any ByteStream)

    let can: StreamCapabilities
    private let makePair: @Sendable () async throws -> Pair
    private let isTurned: Bool

    /// More bytes than all that lies between the two ends will hold.
    let bulk: Int

    package init(
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

/// One thing that every ``ByteStream`` does. Needs no test framework: what is wrong is thrown.
package struct StreamScenario: Sendable, CustomStringConvertible {
    /// The sentence that has to be true.
    package let name: String
    let needs: StreamCapabilities
    private let body: @Sendable (StreamStand) async throws -> Void

    init(
        _ name: String, needs: StreamCapabilities = [], _ body: @escaping @Sendable (StreamStand) async throws -> Void
    ) {
        self.name = name
        self.needs = needs
        self.body = body
    }

    package var description: String { name }

    package static let all: [StreamScenario] = reading + writing + ending + breaking + cancelling + sharing

    /// From which ends a scenario is run: from both where they differ.
    package enum Ends: Sendable { case first, both }

    /// Runs the scenario. Nothing is done if the streams cannot do what it needs.
    ///
    /// `bulk` is more than all that lies between the ends holds: a writer waits when nobody reads so much.
    package func run(
        can: StreamCapabilities = .all, bulk: Int = 48 << 20, from ends: Ends = .both,
        makePair: @escaping @Sendable () async throws -> StreamStand.Pair
    ) async throws {
        guard can.isSuperset(of: needs) else { return }
        for isTurned in ends == .both ? [false, true] : [false] {
            do {
                try await body(StreamStand(can: can, bulk: bulk, isTurned: isTurned, makePair: makePair))
            } catch {
                throw StreamFault("\(name)\(isTurned ? " (from the other end)" : ""): \(error)")
            }
        }
    }
}

/// Runs all scenarios on a kind of stream, given by a factory of connected pairs. Throws ``StreamFault`` for the first
/// that fails.
package func checkByteStream(
    can: StreamCapabilities = .all, bulk: Int = 48 << 20,
    makePair: @escaping @Sendable () async throws -> StreamStand.Pair
) async throws {
    for scenario in StreamScenario.all { try await scenario.run(can: can, bulk: bulk, makePair: makePair) }
}

/// A stream does not do what every stream does.
package struct StreamFault: Error, CustomStringConvertible {
    package let description: String
    init(_ description: String) { self.description = description }
}

/// Throws unless the condition holds.
func demand(_ condition: Bool, _ message: @autoclosure () -> String) throws {
    if !condition { throw StreamFault(message()) }
}

/// Runs a body that has to fail with one of these codes, and returns the error.
@discardableResult
func demandError(
    _ codes: Errno..., from what: String, _ body: () async throws -> some Any
) async throws -> IOError {
    let result: any Sendable
    do { result = "\(try await body())" } catch let error as IOError {
        try demand(codes.contains(error.code), "\(what) failed with \(error.code), not with \(codes): \(error)")
        return error
    }
    throw StreamFault("\(what) returned \(result), and should have failed with \(codes)")
}

/// Runs a body that has to be cancelled.
func demandCancellation(from what: String, _ body: () async throws -> some Any) async throws {
    let result: String
    do { result = "\(try await body())" } catch is CancellationError { return }
    throw StreamFault("\(what) returned \(result), and should have thrown CancellationError")
}
