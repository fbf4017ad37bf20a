#if Services
import AsyncIO
import AsyncIOKernel
public import AsyncIOLoop
public import Metrics
public import ServiceLifecycle

/// Reports what a loop does to swift-metrics, every few seconds: a service that runs until it is cancelled or the group
/// shuts down.
///
/// All have the dimension `loop`, the loop's name. Counters: `asyncio_ticks_total`, `asyncio_jobs_total`,
/// `asyncio_callbacks_total`, `asyncio_operations_total`, `asyncio_timers_fired_total`, `asyncio_wakeups_total`,
/// `asyncio_blocking_finished_total`. Gauges: `asyncio_ready`, `asyncio_waiting_operations`, `asyncio_pending_timers`,
/// `asyncio_background_tasks`, `asyncio_blocking_threads`, `asyncio_blocking_queued`. Timer: `asyncio_lag_nanoseconds`,
/// how much later than planned the loop came to this service's own timer: what every task of it waits at that moment.
public struct LoopMetrics: Service, CustomStringConvertible {
    private let loop: EventLoop
    private let interval: Duration
    private let instruments: Instruments

    /// Makes a reporter that does not report yet.
    ///
    /// - Parameters:
    ///   - loop: The loop to look at.
    ///   - interval: How often; at least a millisecond.
    ///   - factory: Who takes the numbers; nil is the system's that `MetricsSystem.bootstrap` has set.
    public init(of loop: EventLoop, every interval: Duration = .seconds(10), factory: (any MetricsFactory)? = nil) {
        self.loop = loop
        self.interval = max(interval, .milliseconds(1))
        instruments = Instruments(loop.name, factory ?? MetricsSystem.factory)
    }

    /// Reports until the task is cancelled or its service group shuts down; then once more.
    public func run() async throws {
        await cancelWhenGracefulShutdown {
            var former = await loop.statistics
            var planned = loop.now.advanced(by: interval)
            while !Task.isCancelled {
                do { try await loop.sleep(until: planned) } catch { break }
                let now = loop.now
                let statistics = await loop.statistics
                instruments.lag.recordNanoseconds(max(planned.duration(to: now), .zero).saturatedNanoseconds)
                instruments.report(statistics, since: former)
                former = statistics
                // What was missed is left out: a report of the past would say nothing of it.
                planned = max(planned, now).advanced(by: interval)
            }
            instruments.report(await loop.statistics, since: former)
        }
    }

    /// `LoopMetrics(main)`.
    public var description: String { "LoopMetrics(\(loop.name))" }
}

/// The numbers, each with its name.
private struct Instruments: Sendable {
    private let counters: [(counter: Counter, value: @Sendable (LoopStatistics) -> UInt64)]
    private let gauges: [(gauge: Gauge, value: @Sendable (LoopStatistics) -> Int)]
    let lag: Timer

    init(_ loop: String, _ factory: any MetricsFactory) {
        let dimensions = [("loop", loop)]
        func counter(
            _ name: String, _ value: @escaping @Sendable (LoopStatistics) -> UInt64
        ) -> (Counter, @Sendable (LoopStatistics) -> UInt64) {
            (Counter(label: "asyncio_\(name)_total", dimensions: dimensions, factory: factory), value)
        }
        func gauge(
            _ name: String, _ value: @escaping @Sendable (LoopStatistics) -> Int
        ) -> (Gauge, @Sendable (LoopStatistics) -> Int) {
            (Gauge(label: "asyncio_\(name)", dimensions: dimensions, factory: factory), value)
        }
        counters = [
            counter("ticks") { $0.ticks }, counter("jobs") { $0.jobs }, counter("callbacks") { $0.calls },
            counter("operations") { $0.operations }, counter("timers_fired") { $0.timersFired },
            counter("wakeups") { $0.wakeUps }, counter("blocking_finished") { $0.blocking.finished },
        ]
        gauges = [
            gauge("ready") { $0.ready }, gauge("waiting_operations") { $0.waitingOperations },
            gauge("pending_timers") { $0.pendingTimers }, gauge("background_tasks") { $0.backgroundTasks },
            gauge("blocking_threads") { $0.blocking.threads }, gauge("blocking_queued") { $0.blocking.queued },
        ]
        lag = Timer(label: "asyncio_lag_nanoseconds", dimensions: dimensions, factory: factory)
    }

    func report(_ now: LoopStatistics, since former: LoopStatistics) {
        for (counter, value) in counters {
            let (before, after) = (value(former), value(now))
            if after > before { counter.increment(by: after - before) }
        }
        for (gauge, value) in gauges { gauge.record(value(now)) }
    }
}
#endif
