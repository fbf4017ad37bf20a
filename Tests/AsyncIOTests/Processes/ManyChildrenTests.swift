import AsyncIO
import AsyncIOKernel
import AsyncIOTestSupport
import Glibc
import Testing

@Suite("Many children")
struct ManyChildrenTests {
    /// Each loop on its own thread, so that children are started at the same moments: none of them may inherit a pipe
    /// of another, or that one's end would never come. Some outlive all others.
    @Test("200 at a time from eight threads: every output ends with its own child", arguments: Drivers.available)
    func concurrent(driver: DriverChoice) async throws {
        try await Watchdog.watch {
            let threads = try (0..<8).map { try LoopThread(options: .guest(driver, name: "loop \($0)")) }
            let sleepers = try await threads.asyncMap { thread in
                try await Process.spawn("sleep", ["300"], input: .pipe, output: .pipe, on: thread.loop)
            }
            let ends = threads.flatMap { thread in
                (0..<25).map { number in
                    thread.loop.submit {
                        let process = try await Process.spawn(
                            .shell("read line; echo \(number); echo $line >&2"), input: .pipe, output: .pipe,
                            error: .pipe)
                        let result = try await process.communicate(
                            Array("line \(number)\n".utf8), outputGrace: .seconds(3_000))
                        return (number, result)
                    }
                }
            }
            for end in ends {
                let (number, result) = try await end.value
                #expect(result.outputText == "\(number)\n")
                #expect(result.errorText == "line \(number)\n")
            }
            for sleeper in sleepers {
                #expect(try sleeper.status == nil)
                try await sleeper.terminate()
            }
            for thread in threads { await thread.shutdown() }
        }
    }

    /// Whoever else had got a pipe would hold up its end until their own: half of the children live until the outputs
    /// of the other half have ended. The bound is much less than that, and much more than a busy machine takes.
    @Test("200 at a time: each output ends a moment after its own child", arguments: Drivers.available)
    func promptEnds(driver: DriverChoice) async throws {
        try await Watchdog.watch {
            let threads = try (0..<8).map { try LoopThread(options: .guest(driver, name: "loop \($0)")) }
            let othersHaveEnded = Gate()
            let ends = threads.flatMap { thread in
                (0..<25).map { number in
                    let livesOn = number % 2 == 0
                    return (livesOn, thread.loop.submit { try await Self.lateness(livesOn ? othersHaveEnded : nil) })
                }
            }
            var latest = 0.0
            for (livesOn, end) in ends where !livesOn { latest = max(latest, try await end.value) }
            othersHaveEnded.open()
            for (livesOn, end) in ends where livesOn { latest = max(latest, try await end.value) }
            print("200 children over \(driver.rawValue): the latest end came \(latest) s after its child's last word")
            #expect(latest < 10)
            for thread in threads { await thread.shutdown() }
        }
    }

    /// Starts a child, lets it end, and returns how many seconds after its last word its output has ended.
    private static func lateness(_ gate: Gate?) async throws -> Double {
        let script = "read line; read time rest </proc/uptime; echo $time"
        let process = try await Process.spawn(.shell(script), input: .pipe, output: .pipe)
        if let gate { await gate.pass() }
        process.input?.close()
        var said: [UInt8] = []
        while let bytes = try await process.output?.read() { said += bytes }
        let now = ProcessTable.text("/proc/uptime").split(separator: " ").first.flatMap { Double($0) }
        let end = Double(String(decoding: said.dropLast(), as: UTF8.self))
        #expect(try await process.wait() == .exited(0))
        return try #require(now) - #require(end, "it said \(said)")
    }

    @Test("a start leaves the loop to others, if there are any", arguments: Drivers.available)
    func starts(driver: DriverChoice) async throws {
        try await Guest.run(.guest(driver)) { loop in
            try await Process.run("true").checked()
            #expect(await loop.statistics.blocking.peakThreads == 0)
            let other = loop.callLater(.seconds(3_000)) {}
            try await Process.run("true").checked()
            #expect(await loop.statistics.blocking.peakThreads == 1)
            other.cancel()
        }
    }

    @Test("a signal reaches its own child, and after its end nobody", arguments: Drivers.available)
    func signals(driver: DriverChoice) async throws {
        let rounds = Stress.count("children that get a signal", few: 100, many: 10_000)
        try await Guest.run(.guest(driver)) { loop in
            for _ in 0..<rounds {
                let process = try await Process.spawn("sleep", ["300"], on: loop)
                try process.signal(.kill)
                let other = try await Process.spawn("true", on: loop)
                #expect(try await process.wait() == .signalled(.kill, coreDumped: false))
                // Its number is free again; its handle reaches nobody.
                #expect(try !process.signal(.kill))
                #expect(try await other.wait() == .exited(0))
            }
        }
    }
}

extension Array {
    fileprivate func asyncMap<Value>(_ body: (Element) async throws -> Value) async rethrows -> [Value] {
        var values: [Value] = []
        for element in self { values.append(try await body(element)) }
        return values
    }
}
