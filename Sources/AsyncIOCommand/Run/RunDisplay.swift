import AsyncIO
import AsyncIOKernel
import Glibc
import Synchronization

/// What a run shows: on a terminal a line that is drawn again and again below all else, and otherwise plain lines.
///
/// Whoever reads the output slowly slows the jobs that have something to show, and nothing else.
final class RunDisplay: Sendable {
    private let stream: StandardStream
    private let loop: EventLoop
    private let began: Instant
    private let isTerminal: Bool
    private let progress: Mutex<RunProgress>
    private let turn = AsyncLock(name: "display")
    /// Nobody reads any more, as after `| head`: the jobs go on.
    private let isDeaf = Mutex(false)

    init(total: Int, on stream: StandardStream, loop: EventLoop) {
        self.stream = stream
        self.loop = loop
        began = loop.now
        isTerminal = Console.isTerminal
        progress = Mutex(RunProgress(total: total))
    }

    var hasFailures: Bool { progress.withLock { !$0.failures.isEmpty } }
    private var time: TimeSpan { TimeSpan(began.duration(to: loop.now)) }

    // MARK: What happens

    func began(_ job: Job) { progress.withLock { $0.began(job) } }

    /// Shows how a job has ended, and its output. A run that is stopped meanwhile stops no line half-way.
    func ended(_ report: JobReport, _ output: [UInt8]) async {
        let (done, total) = progress.withLock { progress in
            progress.ended(report)
            return (progress.done, progress.total)
        }
        // On a terminal, the line below tells of those that went well.
        let isWorthALine = !isTerminal || !report.isSuccess || !output.isEmpty
        let line = isWorthALine ? "\(done)/\(total) \(report.line)\n" : ""
        await show(Array(line.utf8) + output)
    }

    /// Says something.
    func say(_ line: String) async { await show(Array((line + "\n").utf8)) }

    /// What has failed, and the numbers. The last word.
    func finish() async {
        let lines = progress.withLock { $0.summary(after: time) }
        await show(Array(lines.map { $0 + "\n" }.joined().utf8), isLast: true)
    }

    /// Draws the line again, until the task is cancelled: time goes on also where nothing ends.
    func drawAgain() async throws {
        guard isTerminal else { return }
        while true {
            try await loop.sleep(for: .milliseconds(100))
            await show([])
        }
    }

    // MARK: Writing

    private func show(_ bytes: [UInt8], isLast: Bool = false) async {
        let text = isTerminal ? Array("\r\u{1b}[K".utf8) + bytes + (isLast ? [] : Array(status.utf8)) : bytes
        guard !text.isEmpty, !isDeaf.withLock(\.self) else { return }
        // A task of its own: whoever is cancelled meanwhile, the write is finished.
        let write = loop.submit(name: "display") { [stream, turn] in
            try await turn.withLock { try await stream.write(text) }
        }
        do {
            try await write.value
        } catch is CancellationError {
        } catch {
            isDeaf.withLock { $0 = true }
        }
    }

    private var status: String {
        let width = (try? SystemCall.terminalSize(STDOUT_FILENO)).map { Int($0.columns) } ?? 80
        // In the last column, some terminals begin a new line.
        return progress.withLock { $0.status(after: time, width: max(width - 1, 20)) }
    }
}
