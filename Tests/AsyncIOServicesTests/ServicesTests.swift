#if Services
import AsyncIO
import AsyncIOLoop
import AsyncIOServices
import AsyncIOTestSupport
import Logging
import Metrics
import MetricsTestKit
import ServiceContextModule
import ServiceLifecycle
import Synchronization
import Testing

/// The adaptors to swift-log, swift-metrics, swift-service-context and swift-service-lifecycle.
@Suite("Services")
struct ServicesTests {
    private struct Oops: Error {}

    @Test("an error that nobody awaits goes to the log, with the task and the place", arguments: Drivers.available)
    func errors(driver: DriverChoice) async throws {
        let lines = Log<String>()
        let logger = Logger(label: "test") { _ in Recorder(lines: lines) }
        var options = EventLoop.Options.guest(driver)
        options.errorHandler = .logger(logger)
        try await Guest.run(options) { loop in
            loop.spawn(name: "baker") { throw Oops() }
        }
        #expect(lines.all.count == 1)
        let line = lines.all.first ?? ""
        #expect(line.hasPrefix("error baker: Oops() "))
        #expect(line.contains("task=baker") && line.contains("ServicesTests.swift:"))
    }

    @Test("a loop's numbers reach the metrics, the counters as differences", arguments: Drivers.available)
    func metrics(driver: DriverChoice) async throws {
        let metrics = TestMetrics()
        try await Guest.run(.guest(driver, name: "measured")) { loop in
            let service = LoopMetrics(of: loop, every: .milliseconds(1), factory: metrics)
            let reporter = loop.spawn { try await service.run() }
            let lag = try metrics.expectTimer("asyncio_lag_nanoseconds", [("loop", "measured")])
            while lag.values.count < 3 { await Task.yield() }
            reporter.cancel()
            try await reporter.value
            let jobs = try metrics.expectCounter("asyncio_jobs_total", [("loop", "measured")])
            let reported = jobs.values.reduce(0, +)
            // Those that ran before the first look are nobody's.
            let all = await loop.statistics.jobs
            #expect(reported > 0 && reported <= Int64(all))
            let tasks = try metrics.expectGauge("asyncio_background_tasks", [("loop", "measured")])
            #expect(tasks.lastValue == 1)
        }
    }

    @Test("a background task is part of its creator's trace once that is asked for", arguments: Drivers.available)
    func tracing(driver: DriverChoice) async throws {
        ServiceContext.isCarriedBySpawn()
        try await Guest.run(.guest(driver)) { loop in
            var context = ServiceContext.topLevel
            context[TraceKey.self] = "trace 7"
            let (spawned, offloaded) = try await ServiceContext.withValue(context) {
                (
                    loop.spawn { ServiceContext.current?[TraceKey.self] },
                    try await loop.offload { ServiceContext.current?[TraceKey.self] }
                )
            }
            #expect(try await spawned.value == "trace 7")
            #expect(offloaded == "trace 7")
            #expect(try await loop.spawn { ServiceContext.current?[TraceKey.self] }.value == nil)
        }
    }

    @Test("a server ends with its group, and its connections may end before", arguments: Drivers.available)
    func lifecycle(driver: DriverChoice) async throws {
        try await Guest.run(.guest(driver)) { loop in
            let listener = try await TCPListener.bind("127.0.0.1", 0)
            let address = listener.address
            let service = ServerService(StreamServer([listener]), drain: .seconds(300)) { stream in
                if let word = try await stream.read(upTo: 100) { try await stream.write(word) }
            }
            let group = ServiceGroup(
                services: [service], logger: Logger(label: "group") { _ in SwiftLogNoOpLogHandler() })
            let running = loop.spawn { try await group.run() }
            let client = try await TCPStream.connect(to: address)
            try await client.write(Array("one".utf8))
            #expect(try await client.read(upTo: 3) == Array("one".utf8))
            let late = try await TCPStream.connect(to: address)
            await group.triggerGracefulShutdown()
            try await late.write(Array("two".utf8))
            #expect(try await late.read(upTo: 3) == Array("two".utf8))
            try await running.value
            client.close()
            late.close()
        }
    }
}

private enum TraceKey: ServiceContextKey {
    typealias Value = String
}

/// Writes what it is told into a list, as text.
private struct Recorder: LogHandler {
    let lines: Log<String>
    var metadata: Logger.Metadata = [:]
    var logLevel = Logger.Level.trace

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        let text = (event.metadata ?? [:]).sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }
        lines.add("\(event.level) \(event.message) \(text.joined(separator: " "))")
    }
}
#endif
