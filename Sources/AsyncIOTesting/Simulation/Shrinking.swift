import AsyncIOKernel

extension Simulation {
    /// What kind of failure an error is: its type, and its case or its first words.
    private static func kind(of error: any Error) -> String {
        let error = (error as? SimulationFailure)?.error ?? error
        let text: String
        if case .checkFailed(let what) = error as? SimulationError {
            text = what.filter { !$0.isNumber }
        } else {
            text = "\(String(reflecting: error).prefix { $0 != "(" && $0 != "\"" })"
        }
        return "\(type(of: error)) \(text)"
    }

    /// What a failing run needs to fail: its unkind choices, without those that it fails without.
    ///
    /// Repeats the run with fewer and fewer of them: first the shortest beginning of the list that still fails, then
    /// that without ever smaller parts (Zeller, Hildebrandt: Simplifying and isolating failure-inducing input, 2002). A
    /// run that leaves choices out may come to other ones later, so the result is small, not the smallest. At most so
    /// many runs, and so much real time, and one run. Nil if the run with this seed does not fail.
    func shrink<Success: Sendable>(
        attempts: Int = 300, patience: Duration = .seconds(20),
        _ body: @escaping @Sendable (World) async throws -> Success
    ) -> ShrunkFailure? {
        var left = attempts
        let end = Instant.monotonicNow.advanced(by: patience)
        var kind: String?
        func failure(of choices: Set<Int>?) -> SimulationReport<Success>? {
            left = Instant.monotonicNow < end ? left - 1 : 0
            let report = perform(only: choices, keepsChoices: true, body)
            guard case .failure(let error) = report.result else { return nil }
            // The same kind of failure: another one is another story.
            let other = Self.kind(of: error)
            if kind == nil { kind = other }
            return kind == other ? report : nil
        }
        guard let whole = failure(of: nil) else { return nil }
        let all = whole.unkind.map(\.number)
        // The shortest beginning that fails.
        var (passes, fails) = (-1, all.count)
        while fails - passes > 1, left > 0 {
            let middle = (passes + fails) / 2
            if failure(of: Set(all.prefix(middle))) != nil { fails = middle } else { passes = middle }
        }
        var needed = Array(all.prefix(fails))
        // Without parts of it.
        var size = max(needed.count / 2, 1)
        while !needed.isEmpty && left > 0 {
            var start = 0
            while start < needed.count && left > 0 {
                var fewer = needed
                fewer.removeSubrange(start..<min(start + size, needed.count))
                if failure(of: Set(fewer)) != nil { needed = fewer } else { start += size }
            }
            if size == 1 { break }
            size = max(size / 2, 1)
        }
        guard let last = failure(of: Set(needed)) else { return nil }
        return ShrunkFailure(
            seed: seed,
            choices: last.unkind.map { choice in
                "\(World.start.duration(to: choice.time)): \(choice.verb), number \(choice.number)"
            }, of: all.count, text: last.result.failureText)
    }
}

/// A failing run, reduced to the choices that it needs.
public struct ShrunkFailure: Sendable, CustomStringConvertible {
    /// The seed.
    public let seed: UInt64
    /// The unkind choices without which it does not fail, in their order.
    public let choices: [String]
    /// How many unkind choices the whole run has made.
    public let count: Int
    /// The failure of the reduced run.
    public let text: String

    init(seed: UInt64, choices: [String], of count: Int, text: String) {
        self.seed = seed
        self.choices = choices
        self.count = count
        self.text = text
    }

    /// The choices, a line each, and the failure of the run with nothing but them.
    public var description: String {
        let list =
            choices.isEmpty
            ? "  none: it fails in a kind world, too" : choices.map { "  \($0)" }.joined(separator: "\n")
        return "of \(count) unkind choices it needs \(choices.count):\n\(list)\n\(text)"
    }
}

extension Result {
    /// What went wrong; empty if nothing did.
    var failureText: String { if case .failure(let error) = self { "\(error)" } else { "" } }
}
