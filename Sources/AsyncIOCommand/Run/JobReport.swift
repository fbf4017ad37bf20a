import AsyncIO

/// One command of a run.
struct Job: Sendable {
    /// Counted from 1.
    let number: Int
    let text: String

    /// What is before its lines.
    var mark: String { "[\(number)] " }

    /// The command on one line, without anything that a terminal would obey.
    var title: String { CleanText(text).description }
}

/// How a job has ended.
struct JobReport: Sendable {
    enum Ending: Sendable {
        case ended(ExitStatus)
        case timedOut(TimeSpan)
        case notStarted(String)
        /// Ended by us, because the run is.
        case stopped
    }

    let job: Job
    let ending: Ending
    let time: TimeSpan

    var isSuccess: Bool { if case .ended(let status) = ending { status.isSuccess } else { false } }

    /// Whether it is to blame for it.
    var isFailure: Bool { if case .stopped = ending { false } else { !isSuccess } }

    /// `ok in 0.2 s: make`, `exited with 2 after 0.2 s: make`.
    var line: String {
        let outcome =
            switch ending {
            case .ended(let status) where status.isSuccess: "ok in \(time)"
            case .ended(let status): "\(status) after \(time)"
            case .timedOut(let limit): "timed out after \(limit)"
            case .notStarted(let reason): "did not start (\(reason))"
            case .stopped: "stopped after \(time)"
            }
        return "\(job.mark)\(outcome): \(job.title)"
    }
}

/// How far a run is.
struct RunProgress: Sendable {
    let total: Int
    private(set) var running: [Job] = []
    private(set) var succeeded = 0
    private(set) var stopped = 0
    private(set) var failures: [JobReport] = []

    init(total: Int) { self.total = total }

    mutating func began(_ job: Job) { running.append(job) }

    mutating func ended(_ report: JobReport) {
        running.removeAll { $0.number == report.job.number }
        if report.isSuccess {
            succeeded += 1
        } else if report.isFailure {
            failures.append(report)
        } else {
            stopped += 1
        }
    }

    var done: Int { succeeded + failures.count + stopped }

    /// `12/40 done, 1 failed, 4 running, 3.2 s: make` - the command is the one that runs longest.
    func status(after time: TimeSpan, width: Int) -> String {
        let failed = failures.isEmpty ? "" : ", \(failures.count) failed"
        let command = running.first.map { ": \($0.title)" } ?? ""
        let line = "\(done)/\(total) done\(failed), \(running.count) running, \(time)\(command)"
        return line.count <= width ? line : line.prefix(max(width - 1, 0)) + "…"
    }

    /// What has failed, and the numbers.
    func summary(after time: TimeSpan) -> [String] {
        var parts = ["\(succeeded) ok", "\(failures.count) failed"]
        if stopped > 0 { parts.append("\(stopped) stopped") }
        if done < total { parts.append("\(total - done) not run") }
        let list = failures.sorted { $0.job.number < $1.job.number }.map { "  " + $0.line }
        let numbers = "\(total) \(total == 1 ? "job" : "jobs") in \(time): \(parts.joined(separator: ", "))"
        return (list.isEmpty ? [] : ["failed:"] + list) + [numbers]
    }
}
