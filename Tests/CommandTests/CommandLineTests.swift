import Foundation
import Testing

@Suite("asyncio, the command", .serialized)
struct CommandLineTests {
    @Test(
        "helps, with examples",
        arguments: [
            ["--help"], ["tour", "--help"], ["serve", "--help"], ["serve", "chat", "--help"],
            ["serve", "echo", "--help"], ["run", "--help"], ["bench", "--help"],
        ])
    func help(_ arguments: [String]) async throws {
        try await blocking {
            let end = try RunningCommand(arguments).finish()
            #expect(end.code == 0)
            #expect(end.output.contains("EXAMPLES"))
            #expect(end.errors == "")
            // The parser writes the usage in one line, however long.
            let lines = end.output.split(separator: "\n").filter { !$0.hasPrefix("USAGE:") }
            for line in lines { #expect(line.count <= 80, "\(line)") }
        }
    }

    @Test(
        "ends with 64 when it does not understand, and says so on standard error",
        arguments: [
            ["dance"], ["serve", "chat", "--port", "70000"], ["serve", "echo", "--loops", "0"],
            ["serve", "echo", "--driver", "x"],
        ])
    func usage(_ arguments: [String]) async throws {
        try await blocking {
            let end = try RunningCommand(arguments).finish()
            #expect(end.code == 64)
            #expect(end.output == "")
            #expect(end.errors.hasPrefix("Error: "))
        }
    }

    @Test("says in one line which port is in use, and what to do", arguments: ["chat", "echo"])
    func portInUse(_ kind: String) async throws {
        try await blocking {
            let first = try RunningCommand("serve", "echo", "--port", "0")
            let port = try first.port()
            let second = try RunningCommand("serve", kind, "--port", "\(port)").finish()
            #expect(second.code == 1)
            #expect(second.output == "")
            #expect(second.errors.hasPrefix("Error: cannot listen on 127.0.0.1:\(port): the port is in use"))
            #expect(second.errors.split(separator: "\n").count == 1)
        }
    }

    @Test("also a port that another server shares among its loops is in use")
    func sharedPortInUse() async throws {
        try await blocking {
            let first = try RunningCommand("serve", "echo", "--port", "0", "--loops", "2")
            let port = try first.port()
            let second = try RunningCommand("serve", "echo", "--port", "\(port)", "--loops", "2").finish()
            #expect(second.code == 1)
            #expect(second.errors.contains("in use"))
        }
    }

    @Test(
        "says in one line which host is wrong, and what to do",
        arguments: [
            ("192.0.2.1", "does not have that address"), ("a.host.invalid", "cannot be found"),
            ("", "the name is empty"),
        ])
    func badHost(_ host: String, reason: String) async throws {
        try await blocking {
            let end = try RunningCommand("serve", "chat", "--port", "0", "--host", host).finish()
            #expect(end.code == 1)
            #expect(end.errors.hasPrefix("Error: cannot listen on \(host):0: "))
            #expect(end.errors.contains(reason))
            #expect(end.errors.contains("--host 127.0.0.1"))
            #expect(end.errors.split(separator: "\n").count == 1)
        }
    }
}

@Suite("asyncio tour", .serialized)
struct TourCommandTests {
    @Test("fits 80 columns, tells four chapters, and keeps colours for terminals")
    func output() async throws {
        try await blocking {
            let end = try RunningCommand("tour").finish()
            #expect(end.code == 0)
            #expect(end.errors == "")
            let lines = end.output.split(separator: "\n")
            for line in lines { #expect(line.count <= 80, "\(line)") }
            for chapter in ["1. One by one", "2. Concurrently", "3. One that blocks", "4. The life of task A"] {
                #expect(lines.contains { $0 == chapter })
            }
            #expect(!end.output.contains("\u{1b}"))
            // What really happened: Bergen blocked, Tunis stood in the queue, and A's life has nine steps.
            #expect(lines.contains { $0.contains("Bergen !!!!!!!!") })
            #expect(lines.contains { $0.contains("Tunis ::::::::") })
            #expect(end.output.contains("9 A is done"))
        }
    }

    @Test("also writes the timeline as a page, with everybody who took part")
    func page() async throws {
        try await blocking {
            let path = NSTemporaryDirectory() + "/tour-\(UUID()).html"
            defer { try? FileManager.default.removeItem(atPath: path) }
            let end = try RunningCommand("tour", "--trace", path).finish()
            #expect(end.code == 0)
            #expect(end.output.contains("The timeline of all that is in \(path)."))
            let page = try String(contentsOfFile: path, encoding: .utf8)
            #expect(page.hasPrefix("<!doctype html>") && page.hasSuffix("</html>\n"))
            for name in ["asyncio tour", "keeper", "Porto", "Bergen", "Tunis", "gull"] {
                #expect(page.contains("\"\(name)\""), "\(name)")
            }
        }
    }

    @Test("ends with 130 when Ctrl-C comes half-way")
    func interrupted() async throws {
        try await blocking {
            let tour = try RunningCommand("tour")
            while try tour.line() != "1. One by one" {}
            tour.interrupt()
            let end = try tour.finish()
            #expect(end.code == 130)
            #expect(!end.output.contains("2. Concurrently"))
        }
    }
}
