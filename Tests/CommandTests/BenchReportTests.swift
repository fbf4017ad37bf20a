import Testing

@testable import AsyncIOCommand

@Suite("The report of asyncio bench")
struct BenchReportTests {
    private func result(_ name: String, cpu: Int..., extras: [Measurement.Extra] = []) throws -> WorkResult {
        let measurements = cpu.map { Measurement(operations: 10, wall: 2 * $0, cpu: $0, peak: 5, extras: extras) }
        return WorkResult(work: try Work.named(name), measurements: measurements)
    }

    private func lines(_ results: [WorkResult]) -> [String] {
        BenchReport(results: results, driver: "epoll").text(Paint(isOn: false)).split(separator: "\n").map(String.init)
    }

    @Test("shows the median of the rounds, and how far they lie apart")
    func medians() throws {
        let odd = try result("lock", cpu: 900, 100, 200)
        #expect(odd.cpu == 20)
        #expect(odd.wall == 40)
        #expect(odd.spread == 4)
        let even = try result("lock", cpu: 400, 100, 200, 300)
        #expect(even.cpu == 25)
        #expect(try result("lock", cpu: 100).spread == nil)
        #expect(
            lines([odd]).contains("lock           20.0 ns  40.0 ns            400 %  a lock that nobody else wants"))
    }

    @Test("shows memory, and how late timers were, where a work is about that")
    func extras() throws {
        let parked = try result("parked", cpu: 100, extras: [.init(name: "bytes_each", value: 1_575)])
        #expect(lines([parked]).contains { $0.contains(" 1.58 KB ") })
        let late = try result("timers-fire", cpu: 100, extras: [.init(name: "late_ns", value: 2_500_000)])
        let row = try #require(lines([late]).first { $0.hasPrefix("timers-fire") })
        #expect(row.hasSuffix("  fires; the last 2.50 ms late"))
        // Its time of the clock is that of the timers.
        #expect(!row.contains("20.0 ns"))
        let early = try result(
            "timers-fire", cpu: 1, extras: [.init(name: "late_ns", value: 0), .init(name: "early", value: 7)])
        #expect(lines([early]).contains { $0.hasSuffix("7 of them fired early!") })
    }

    @Test("fits 80 columns whatever it says, and says which works there are once each")
    func width() throws {
        let all = try Work.all.map { work in
            try result(
                work.name, cpu: 9_994_999_999_999, 99_949_999, 1,
                extras: ["bytes_each", "late_ns"].map { .init(name: $0, value: 999_499_999) })
        }
        let lines = lines(all)
        for line in lines { #expect(line.count <= 80, "\(line)") }
        for work in Work.all { #expect(lines.count { $0.hasPrefix(work.name + " ") } == 1) }
        #expect(Set(Work.all.map(\.name)).count == Work.all.count)
    }

    @Test(
        "writes times in three digits",
        arguments: [
            (0, "0.00 ns"), (9.994, "9.99 ns"), (9.996, "10.0 ns"), (99.94, "99.9 ns"), (99.96, "100 ns"),
            (999.4, "999 ns"), (999.6, "1.00 us"), (12_345, "12.3 us"), (7_050_000, "7.05 ms"), (3e9, "3.00 s"),
        ])
    func times(_ nanoseconds: Double, text: String) {
        #expect(BenchReport.time(nanoseconds) == text)
    }

    @Test(
        "writes memory in three digits",
        arguments: [(0, "0 B"), (999, "999 B"), (1_575, "1.58 KB"), (2_000_000, "2.00 MB")])
    func memory(_ bytes: Int, text: String) {
        #expect(BenchReport.bytes(bytes) == text)
    }

    @Test("reads the lines of its own measurements, and no others")
    func rawLines() throws {
        let measurement = Measurement(
            operations: 7, wall: 8, cpu: 9, peak: 10, extras: [.init(name: "late_ns", value: -3)])
        #expect(Measurement(line: measurement.line("lock")) == measurement)
        #expect(
            measurement.line("lock")
                == #"{"work":"lock","operations":7,"wall_ns":8,"cpu_ns":9,"peak_kib":10,"late_ns":-3}"#)
        for line in [
            "", "{}", "ready", #"{"work":"lock"}"#, #"{"operations":0,"wall_ns":8,"cpu_ns":9,"peak_kib":10}"#,
            #"{"operations":x,"wall_ns":8,"cpu_ns":9,"peak_kib":10}"#, #"{"operations":7,"wall_ns":8,"cpu_ns":9}"#,
        ] { #expect(Measurement(line: line) == nil, "\(line)") }
    }
}
