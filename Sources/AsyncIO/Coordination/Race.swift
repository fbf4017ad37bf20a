/// What ends a race.
public enum RaceEnd: Sendable, Hashable {
    /// The first success; errors only matter if nobody succeeds.
    case firstSuccess
    /// Whoever comes first, with a value or with an error.
    case firstToFinish
}

/// Runs the contenders at the same time, as child tasks, and returns the value of the first one that succeeds; or, with
/// `.firstToFinish`, the value or the error of the first one that ends.
///
/// ```swift
/// let answer = try await race({ try await ask(primary) }, { try await ask(secondary) })
/// ```
///
/// The others are cancelled then, and awaited before the call returns. One of them may succeed all the same, at the
/// same moment: such a value is handed to `discarding`, which closes what has to be closed and is not cancelled itself.
/// Without it the value is dropped. Errors of losers are dropped.
///
/// Throws ``RaceError`` with all errors if everybody has failed, or nobody takes part. If the calling task is
/// cancelled, so are the contenders; the call throws `CancellationError` unless one of them succeeds all the same, or,
/// with `.firstToFinish`, what the first one makes of it.
///
/// asyncio's `wait(…, return_when=FIRST_COMPLETED)` with the cancelling done; JavaScript's `Promise.any` and `.race`.
public func race<Value: Sendable>(
    _ contenders: (@Sendable () async throws -> Value)..., until end: RaceEnd = .firstSuccess,
    discarding: (@Sendable (Value) async -> Void)? = nil
) async throws -> Value {
    try await race(contenders, until: end, discarding: discarding)
}

/// As the other form, for contenders in an array.
///
/// Not simply an array: Swift 6.3 converts arrays of closures whose isolation differs at run time, and fails there.
public func race<Contenders: Sequence, Value: Sendable>(
    _ contenders: Contenders, until end: RaceEnd = .firstSuccess,
    discarding: (@Sendable (Value) async -> Void)? = nil
) async throws -> Value where Contenders.Element == @Sendable () async throws -> Value {
    try await raceEach(Array(contenders), until: end, discarding: discarding) { try await $0() }
}

/// Runs a piece of work for each input at the same time, and returns the value of the first one that succeeds; or, with
/// `.firstToFinish`, the value or the error of the first one that ends. As ``race(_:until:discarding:)``.
public func raceEach<Inputs: Sequence, Value: Sendable>(
    _ inputs: Inputs, until end: RaceEnd = .firstSuccess, discarding: (@Sendable (Value) async -> Void)? = nil,
    _ work: @escaping @Sendable (Inputs.Element) async throws -> Value
) async throws -> Value where Inputs.Element: Sendable {
    try await Visit.enter()
    let late = Discarding(handler: discarding)
    let result = await withTaskGroup(of: (Int, Result<Value, any Error>).self) { group in
        for (index, input) in inputs.enumerated() {
            group.addTask { (index, await Result.of { try await work(input) }) }
        }
        var finish = RaceFinish<Value>(end: end)
        while let (index, result) = await group.next() {
            if let tooLate = finish.arrives(index, result) { await late.discard(tooLate) }
            if finish.winner != nil { group.cancelAll() }
        }
        return finish.value
    }
    return try result.get()
}

/// Judges who has won.
struct RaceFinish<Value: Sendable> {
    private let end: RaceEnd
    /// Who has decided the race.
    private(set) var winner: (index: Int, result: Result<Value, any Error>)?
    private var errors: [(index: Int, error: any Error)] = []

    init(end: RaceEnd) { self.end = end }

    /// A contender ends. Returns a value that came too late.
    mutating func arrives(_ index: Int, _ result: Result<Value, any Error>) -> Value? {
        switch result {
        case .success(let value) where winner != nil: return value
        case .success: winner = (index, result)
        case .failure where winner == nil && end == .firstToFinish: winner = (index, result)
        case .failure(let error): errors.append((index, error))
        }
        return nil
    }

    /// The winner's result, or the error of a race without one.
    var value: Result<Value, any Error> {
        if let winner { return winner.result }
        if Task.isCancelled { return .failure(CancellationError()) }
        return .failure(RaceError(errors: errors.sorted { $0.index < $1.index }.map(\.error)))
    }
}

/// Nobody has won a race.
public struct RaceError: Error, CustomStringConvertible {
    /// Why each contender failed, in the order of the contenders; empty if there was none.
    public let errors: [any Error]

    /// Creates the error of a race.
    public init(errors: [any Error]) { self.errors = errors }

    /// `all 2 contenders of a race failed: timed out; connection refused`.
    public var description: String {
        guard !errors.isEmpty else { return "a race without contenders has no winner" }
        return "all \(errors.count) contenders of a race failed: \(errors.map { "\($0)" }.joined(separator: "; "))"
    }
}
