import AsyncIOKernel
import AsyncIOLoop
import CAsyncIOInspection

/// Makes the reports of a watchdog, on its thread, and hands them over.
struct BlockReporter {
    let handler: (@Sendable (BlockedLoop) -> Void)?
    /// In how many runs each task has been reported.
    private var history: [UInt64: Int] = [:]
    private let camera = ThreadCamera()
    private var pace: ReportPace

    init(_ options: Inspection.WatchdogOptions) {
        handler = options.handler
        pace = ReportPace(interval: options.leastInterval)
    }

    /// False if it comes too soon after the last one.
    mutating func report(_ cell: WatchCell, _ reading: WatchCell.Reading, _ sight: LoopSights.Sight) -> Bool {
        let run = ReportPace.Run(loop: ObjectIdentifier(cell), step: reading.sequence)
        guard let untold = pace.mayTell(run, at: .monotonicNow) else { return false }
        defer { pace.hasTold(at: .monotonicNow) }
        // What is measured is measured first: the first picture may take long, since it reads the program's symbols.
        let processorTime = max(casyncio_thread_time(cell.thread) - sight.processorTime, 0)
        let duration = reading.since.duration(to: .monotonicNow)
        let picture = camera.take(of: cell, reading)
        if sight.reports == 1 && reading.task != 0 {
            if history.count >= 4096 { history.removeAll() }
            history[reading.task, default: 0] += 1
        }
        let report = BlockedLoop(
            loop: cell.loop.name, number: cell.number, culprit: culprit(reading),
            duration: duration,
            activity: Self.activity(picture, Double(processorTime), of: Double(sight.observed.saturatedNanoseconds)),
            processorTime: .nanoseconds(processorTime), observed: sight.observed,
            earlierRuns: max((history[reading.task] ?? 0) - 1, 0), report: sight.reports, untold: untold,
            stack: picture.stack, note: picture.note)
        if let handler { handler(report) } else { cell.loop.report(report, context: "watchdog") }
        return true
    }

    private func culprit(_ reading: WatchCell.Reading) -> BlockedLoop.Culprit {
        switch reading.phase {
        case .runs where reading.task != 0: .task(reading.task, name: camera.name(of: reading.address))
        case .runs: .job
        case .calls: .callback
        case .turns, .rests: .loop
        }
    }

    private static func activity(
        _ picture: ThreadCamera.Picture, _ used: Double, of observed: Double
    ) -> BlockedLoop.Activity {
        if used > observed / 2 { return .computes }
        if let call = picture.call { return .waits(call: call) }
        return picture.isRunning ? .lacksProcessor : .unknown
    }
}
