import AsyncIO
import AsyncIOLoop
import AsyncIOTestSupport
import AsyncIOTesting
import Testing

/// A public operation that is cancelled at every await, and what has to hold afterwards.
struct SweptOperation: Sendable, CustomTestStringConvertible {
    let name: String
    let sweep: @Sendable (CancellationPoint.Moment) async throws -> CancellationSweep

    var testDescription: String { name }

    /// An operation on something that the set-up has made, often with others at it.
    init<Subject: Sendable>(
        _ name: String, accepting: @escaping @Sendable (any Error) -> Bool = { _ in false },
        on setUp: @escaping @concurrent @Sendable (EventLoop) async throws -> Subject,
        _ body: @escaping @concurrent @Sendable (Subject) async throws -> Void,
        then check: @escaping @concurrent @Sendable (Subject) async throws -> Void = { _ in }
    ) {
        self.name = name
        sweep = { moment in
            try await cancelAtEveryAwait(
                at: [moment], options: .test(errors: EventLoop.ErrorHandler { _ in }), accepting: accepting,
                setUp: { time in try await setUp(time.loop) }, body: body,
                check: { subject, _ in try await check(subject) })
        }
    }

    /// An operation that brings everything with it.
    init(
        _ name: String, accepting: @escaping @Sendable (any Error) -> Bool = { _ in false },
        _ body: @escaping @concurrent @Sendable (EventLoop) async throws -> Void
    ) {
        self.init(name, accepting: accepting, on: { $0 }, body)
    }

    static let all = synchronization + queues + coordination + streams + combinations
}

/// What should have been true after a cancellation.
struct Broken: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}

func expect(_ condition: Bool, _ message: @autoclosure () -> String) throws {
    if !condition { throw Broken(message()) }
}

@Suite("Every public operation is cancelled at every await", .timeLimit(.minutes(10)))
struct EveryAwaitTests {
    @Test(arguments: SweptOperation.all, CancellationPoint.Moment.allCases)
    func operation(_ operation: SweptOperation, at moment: CancellationPoint.Moment) async throws {
        let sweep = try await operation.sweep(moment)
        #expect(sweep.cancellations > 0, "\(operation.name): \(sweep)")
    }
}
