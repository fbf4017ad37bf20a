import AsyncIO
import AsyncIOKernel
import AsyncIOLoop
import SystemPackage

/// A sentence of a contract that an implementation does not keep.
public struct ConformanceFailure: Error, Hashable, Sendable, CustomStringConvertible {
    /// Whose contract it is: `ByteStream`, `Resolver`, `Driver`.
    public let contract: String
    /// What should have been true.
    public let sentence: String
    /// What was seen instead.
    public let detail: String

    /// Creates a failure.
    public init(contract: String, sentence: String, detail: String) {
        self.contract = contract
        self.sentence = sentence
        self.detail = detail
    }

    /// `ByteStream: reads of one byte get them all, in order: the end came after 7 of 5000 bytes`.
    public var description: String { "\(contract): \(sentence): \(detail)" }
}

/// All sentences of a contract that an implementation does not keep.
public struct ConformanceFailures: Error, Hashable, Sendable, CustomStringConvertible {
    /// Each of them, in the contract's order; at least one.
    public let failures: [ConformanceFailure]
    /// How many sentences were looked at.
    public let checked: Int

    /// Creates a report.
    public init(failures: [ConformanceFailure], checked: Int) {
        self.failures = failures
        self.checked = checked
    }

    /// One line for each.
    public var description: String {
        let lines = failures.map { "- \($0)" }.joined(separator: "\n")
        return "\(failures.count) of \(checked) sentences are not true:\n\(lines)"
    }

    /// Looks at each sentence, and throws what was found.
    static func collect<Sentence>(
        _ sentences: [Sentence], _ check: (Sentence) async throws -> Void
    ) async throws {
        var failures: [ConformanceFailure] = []
        for sentence in sentences {
            do { try await check(sentence) } catch let failure as ConformanceFailure { failures.append(failure) }
        }
        if !failures.isEmpty { throw ConformanceFailures(failures: failures, checked: sentences.count) }
    }
}

/// What was seen, and should not have been. Becomes the detail of a ``ConformanceFailure``.
struct ContractBreach: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}

/// Throws unless the condition holds.
func demand(_ condition: Bool, _ message: @autoclosure () -> String) throws {
    if !condition { throw ContractBreach(message()) }
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
    throw ContractBreach("\(what) returned \(result), and should have failed with \(codes)")
}

/// Runs a body that has to be cancelled.
func demandCancellation(from what: String, _ body: () async throws -> some Any) async throws {
    let result: String
    do { result = "\(try await body())" } catch is CancellationError { return }
    throw ContractBreach("\(what) returned \(result), and should have thrown CancellationError")
}

/// Lets others run until the condition holds. Whether it ever does is for the test's own time limit.
package func until(_ condition: () async throws -> Bool) async rethrows {
    while try await !condition() { await letOthersGoOn() }
}

/// Lets others run for a few turns.
func letOthersGoOn(_ turns: Int = 1) async {
    for _ in 0..<turns {
        // In a simulated world, no time passes while anybody is ready.
        if SystemCall.isSimulated, !Task.isCancelled, let loop = EventLoop.current {
            try? await loop.sleep(for: .microseconds(10))
        } else {
            await Task.yield()
        }
    }
}
