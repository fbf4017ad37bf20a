import AsyncIO

/// Something that a program does again and again, and what it costs is measured.
struct Work: Sendable {
    /// What it is called on the command line.
    let name: String
    /// What one operation is, in at most 30 columns.
    let summary: String
    /// How many operations a round of the report has.
    let count: Int
    /// The most that may be asked for.
    let most: Int
    /// How many operations are done before those that are measured.
    let warmUp: Int
    /// What the clock's time is mostly spent on.
    let pace: Pace
    private let body: @Sendable (Int) async throws -> Measurement

    enum Pace: Sendable {
        /// As many operations as fit.
        case busy
        /// Waiting for timers: the clock's time says nothing of what an operation takes.
        case sleeping
    }

    init(
        _ name: String, _ summary: String, count: Int, most: Int = 100_000_000, warmUp: Int = 1_000,
        pace: Pace = .busy, _ body: @escaping @Sendable (Int) async throws -> Measurement
    ) {
        self.name = name
        self.summary = summary
        self.count = count
        self.most = most
        self.warmUp = warmUp
        self.pace = pace
        self.body = body
    }

    /// Does so many operations on the loop that runs here, and measures them.
    func measure(_ count: Int) async throws -> Measurement {
        if warmUp > 0 { _ = try await body(min(warmUp, count)) }
        return try await body(count)
    }
}

extension Work {
    /// Works that belong together.
    struct Chapter: Sendable {
        let title: String
        let works: [Work]
    }

    /// All of them.
    static let chapters = [
        Chapter(title: "Tasks", works: tasks), Chapter(title: "Between tasks", works: coordination),
        Chapter(title: "Time", works: timers), Chapter(title: "The system", works: system),
    ]

    static let all = chapters.flatMap(\.works)

    static func named(_ name: String) throws(UnknownWork) -> Work {
        guard let work = all.first(where: { $0.name == name }) else { throw UnknownWork(name: name) }
        return work
    }

    /// Why there cannot be so many operations; nil if there can.
    func refusal(of count: Int) -> String? {
        if (1...most).contains(count) { return nil }
        return "\(name) \(count) is out of range: choose a number from 1 to \(most)."
    }
}

/// A name that no work has.
struct UnknownWork: Error, CustomStringConvertible {
    let name: String

    var description: String {
        "there is no work '\(CleanText(name))'. These are there: \(Work.all.map(\.name).joined(separator: ", "))."
    }
}

/// A work has not done what it says.
struct WorkFailure: Error, CustomStringConvertible {
    let description: String
}
