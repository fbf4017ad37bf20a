import AsyncIO
import Foundation
import Testing

/// What a program printed and how it ended.
struct Outcome {
    let lines: [String]
    let errors: String
    let status: Int32
}

/// Runs an example, on a thread that may block.
func run(_ name: String, _ arguments: [String] = [], typing text: String = "") async throws -> Outcome {
    try await blocking { try runBlocking(name, arguments, typing: text) }
}

private func runBlocking(_ name: String, _ arguments: [String], typing text: String = "") throws -> Outcome {
    // The programs lie beside the bundle of the tests.
    let folder = URL(fileURLWithPath: CommandLine.arguments[0]).deletingLastPathComponent()
    let process = Foundation.Process()
    process.executableURL = folder.appendingPathComponent(name)
    process.arguments = arguments
    let (input, output, errors) = (Pipe(), Pipe(), Pipe())
    process.standardInput = input
    process.standardOutput = output
    process.standardError = errors
    try process.run()
    try input.fileHandleForWriting.write(contentsOf: Data(text.utf8))
    try input.fileHandleForWriting.close()
    let printed = try output.fileHandleForReading.readToEnd() ?? Data()
    let complaints = try errors.fileHandleForReading.readToEnd() ?? Data()
    process.waitUntilExit()
    return Outcome(
        lines: String(decoding: printed, as: UTF8.self).split(separator: "\n").map(String.init),
        errors: String(decoding: complaints, as: UTF8.self), status: process.terminationStatus)
}

/// One program at a time: what they print is in the order of their timers only if they get the processor in time.
@Suite("Every example runs and prints what it promises", .serialized)
struct ExamplesTests {
    @Test(
        "in this order",
        arguments: [
            ("01-hello", ["hello", "world"]),
            (
                "02-gulls-one-by-one",
                [
                    "a gull leaves for Porto", "the letter is in Porto", "a gull leaves for Bergen",
                    "the letter is in Bergen", "a gull leaves for Tunis", "the letter is in Tunis",
                    "one by one: 300 ms and more",
                ]
            ),
            (
                "03-gulls-gather",
                [
                    "a gull leaves for Porto", "a gull leaves for Bergen", "a gull leaves for Tunis",
                    "the letter is in Tunis", "the letter is in Porto", "the letter is in Bergen",
                    "answer from Porto, answer from Bergen, answer from Tunis", "at once: as long as the longest",
                ]
            ),
            (
                "04-tasks-and-results",
                ["the task is made, and has not begun", "gull 1 takes off", "letter 1 delivered"]
            ),
            (
                "05-blocking-and-offload",
                ["a blocking call: the heart beat hardly at all", "offloaded: the heart went on beating"]
            ),
            (
                "06-call-later",
                [
                    "the body goes on", "first: with the next turn", "second: at an instant",
                    "third: 30 ms later",
                ]
            ),
            ("07-background", ["called back by the loop", "offloaded: 42", "ticker: cancelled in good order"]),
            (
                "09-timeouts-and-shield",
                [
                    "gave up: timed out after 0.05 seconds", "part 1", "part 2", "part 3", "not waiting any longer",
                    "committed",
                ]
            ),
            ("10-worker-pool", ["[1, 4, 9, 16, 25, 36, 49, 64, 81, 100]", "at most 3 at a time"]),
            (
                "12-async-algorithms",
                [
                    "merged: [1, 2, 3, 4, 5, 6]", "search: gull", "search: gulls", "chunk: [1, 2, 3]",
                    "chunk: [4, 5, 6]", "chunk: [7]",
                ]
            ),
            ("13-echo", ["a letter"]),
            ("14-plain-main", ["on a loop from the first line: true", "both slept in one go: true"]),
        ])
    func prints(name: String, wanted: [String]) async throws {
        let outcome = try await run(name)
        #expect(outcome.status == 0, "\(outcome.errors)")
        let printed = outcome.lines.filter(wanted.contains)
        #expect(printed == wanted, "\(outcome.lines)")
    }

    @Test("an error that nobody awaits is reported with the task's name")
    func reported() async throws {
        let outcome = try await run("07-background")
        #expect(outcome.errors.contains("gull 7"))
        #expect(outcome.errors.contains("LostLetter"))
    }

    @Test("results do not stop at the first error")
    func results() async throws {
        let lines = try await run("04-tasks-and-results").lines
        #expect(lines.suffix(2) == ["failed: stormy weather", "letter 3 delivered"])
    }

    @Test("producers and consumers lose nothing, and nothing piles up")
    func producers() async throws {
        let lines = try await run("08-producer-consumer").lines
        for number in 1...6 {
            #expect(lines.filter { $0.hasSuffix("has read letter \(number)") }.count == 1)
        }
        #expect(lines.last == "never more than 2 in the box")
    }

    @Test("the chat client says what is typed, and prints what it hears")
    func chat() async throws {
        let thread = try LoopThread()
        let (ports, port) = AsyncStream<UInt16>.makeStream()
        let server = Task(executorPreference: thread.loop) {
            let listener = try await TCPListener.bind("127.0.0.1", 0, on: thread.loop)
            port.yield(listener.address.port ?? 0)
            let connection = try await listener.accept()
            try await connection.write("welcome\n")
            var heard: [UInt8] = []
            while let bytes = try await connection.read() { heard += bytes }
            try await connection.write("goodbye\n")
            connection.close()
            listener.close()
            return String(decoding: heard, as: UTF8.self)
        }
        var iterator = ports.makeAsyncIterator()
        let number = try #require(await iterator.next())
        let outcome = try await run("11-chat-client", ["127.0.0.1", "\(number)"], typing: "hello everybody\n")
        #expect(try await server.value == "hello everybody\n")
        #expect(outcome.lines == ["welcome", "goodbye"])
        #expect(outcome.status == 0, "\(outcome.errors)")
        await thread.shutdown()
    }

    @Test("the time goes over UDP, and nobody there is an error")
    func time() async throws {
        let (answer, refused) = try await blocking {
            let server = Foundation.Process()
            let folder = URL(fileURLWithPath: CommandLine.arguments[0]).deletingLastPathComponent()
            server.executableURL = folder.appendingPathComponent("17-udp-time")
            server.arguments = ["serve", "127.0.0.1", "0"]
            let output = Pipe()
            server.standardOutput = output
            try server.run()
            let line = String(decoding: output.fileHandleForReading.availableData, as: UTF8.self)
            let port = line.split(separator: ":").last.map { $0.trimmingCharacters(in: .whitespacesAndNewlines) }
            let answer = try runBlocking("17-udp-time", ["ask", "127.0.0.1", port ?? ""])
            // This process's threads block the signals that a server ends at, and it inherits that.
            kill(server.processIdentifier, SIGKILL)
            server.waitUntilExit()
            return (answer, try runBlocking("17-udp-time", ["ask", "127.0.0.1", port ?? ""]))
        }
        #expect(answer.status == 0, "\(answer.errors)")
        let time = try Date(answer.lines.first ?? "", strategy: .iso8601)
        #expect(abs(time.timeIntervalSinceNow) < 60)
        #expect(refused.status == 1)
        #expect(refused.errors.contains("Connection refused"), "\(refused.errors)")
    }
}
