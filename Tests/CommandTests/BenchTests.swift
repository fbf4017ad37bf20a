import Foundation
import Testing

@testable import AsyncIOCommand

@Suite("asyncio bench")
struct BenchTests {
    @Test("measures each work, and tells it in one line of JSON", arguments: Work.all.map(\.name))
    func work(_ name: String) async throws {
        let count = name == "start" ? 1 : 20
        try await blocking {
            let end = try RunningCommand("bench", name, "\(count)", "--raw").finish()
            #expect(end.code == 0)
            #expect(end.errors == "")
            #expect(end.output.hasSuffix("}\n") && end.output.split(separator: "\n").count == 1)
            let object = try JSONSerialization.jsonObject(with: Data(end.output.utf8))
            var members = try #require(object as? [String: Any])
            #expect(members.removeValue(forKey: "work") as? String == name)
            // The clients of the echo share them evenly.
            #expect(members.removeValue(forKey: "operations") as? Int == (name == "echo" ? 32 : count))
            let wall = try #require(members.removeValue(forKey: "wall_ns") as? Int)
            let cpu = try #require(members.removeValue(forKey: "cpu_ns") as? Int)
            let peak = try #require(members.removeValue(forKey: "peak_kib") as? Int)
            #expect(wall > 0 && wall < 20_000_000_000)
            #expect(cpu > 0 && cpu < 5_000_000_000)
            #expect(peak > 1_000 && peak < 1_000_000)
            // What a work has of its own.
            let extras = [
                "parked": ["bytes_each"], "sleepers": ["bytes_each"], "task-sleepers": ["bytes_each"],
                "timers": ["cancel_ns", "insert_ns"], "timers-fire": ["early", "late_ns"],
            ]
            #expect(members.keys.sorted() == extras[name] ?? [])
            switch name {
            case "sleepers", "task-sleepers": #expect(wall >= 3_000_000_000)
            case "timers": #expect(members["insert_ns"] as? Int ?? 0 > 0 && members["cancel_ns"] as? Int ?? 0 > 0)
            case "timers-fire":
                // The last of twenty is due a bit before the end of the second second.
                #expect(wall > 1_900_000_000)
                #expect(members["early"] as? Int == 0)
                #expect(members["late_ns"] as? Int ?? -1 >= 0)
            default: break
            }
        }
    }

    @Test(
        "runs over the driver asked for, whichever of its names it is called by",
        arguments: ["epoll", "uring", "io_uring"])
    func driver(_ name: String) async throws {
        try await blocking {
            let end = try RunningCommand("bench", "switch", "--count", "100", "--rounds", "1", "--driver", name)
                .finish()
            // Some systems forbid io_uring.
            if end.code == 1 { return #expect(end.errors.contains("use io_uring")) }
            #expect(end.code == 0)
            #expect(end.output.hasPrefix("swift-asyncio on \(name == "uring" ? "io_uring" : name), "))
        }
    }

    @Test("reports what was measured, in 80 columns")
    func report() async throws {
        try await blocking {
            let end = try RunningCommand("bench", "lock", "queue", "start", "--count", "2", "--rounds", "2").finish()
            #expect(end.code == 0)
            #expect(end.errors == "")
            #expect(end.output.contains("medians of 2 rounds\n"))
            #expect(!end.output.contains("\u{1b}"))
            let lines = end.output.split(separator: "\n")
            for line in lines { #expect(line.count <= 80, "\(line)") }
            // By chapters, and none that has nothing to tell.
            let rows = lines.compactMap { line in
                ["lock", "queue", "start", "Tasks", "Between", "Time", "The"].first { line.hasPrefix("\($0) ") }
            }
            #expect(rows == ["Tasks", "start", "Between", "lock", "queue"])
        }
    }

    @Test("reports for programs as well, with every round")
    func json() async throws {
        try await blocking {
            let end = try RunningCommand("bench", "lock", "--count", "100", "--rounds", "3", "--json").finish()
            let object = try JSONSerialization.jsonObject(with: Data(end.output.utf8))
            let report = try #require(object as? [String: Any])
            #expect(report["library"] as? String == "swift-asyncio")
            #expect((report["system"] as? String)?.hasPrefix("Linux ") == true)
            let works = try #require(report["works"] as? [[String: Any]])
            #expect(works.map { $0["work"] as? String } == ["lock"])
            let rounds = try #require(works[0]["rounds"] as? [[String: Int]])
            #expect(rounds.map { $0["operations"] } == [100, 100, 100])
            let each = rounds.compactMap { $0["cpu_ns"] }.sorted()[1]
            #expect(works[0]["cpu_ns_each"] as? Double == Double(each) / 100)
        }
    }

    @Test("lists the works, in 80 columns")
    func list() async throws {
        try await blocking {
            let end = try RunningCommand("bench", "--list").finish()
            #expect(end.code == 0)
            let lines = end.output.split(separator: "\n")
            #expect(lines.dropFirst().map { $0.prefix { $0 != " " } } == Work.all.map { $0.name[...] })
            for line in lines { #expect(line.count <= 80, "\(line)") }
        }
    }

    @Test(
        "says in one line what it does not understand, and what it would",
        arguments: [
            (["spwan"], "there is no work 'spwan'. These are there: call, switch, "),
            (["spwan", "7", "--raw"], "there is no work 'spwan'. These are there: call, switch, "),
            (["lock", "0", "--raw"], "lock 0 is out of range: choose a number from 1 to 100000000."),
            (["lock", "--count=-1"], "lock -1 is out of range: choose a number from 1 to 100000000."),
            (["start", "2", "--raw"], "start 2 is out of range: choose a number from 1 to 1."),
            (["lock", "many", "--raw"], "'many' is no number: write asyncio bench lock 1000 --raw."),
            (["--raw"], "--raw is for one work: write its name and, if you like, a number."),
            (["lock", "1", "2", "--raw"], "--raw is for one work: write its name and, if you like, a number."),
            (["lock", "--rounds", "0"], "--rounds 0 is out of range: choose a number from 1 to 1000."),
            (["serve"], "serve what? Write: serve echo PORT, serve proxy PORT TARGETPORT, or serve udp PORT."),
            (["serve", "echo"], "write: serve echo PORT."),
            (["serve", "proxy", "1"], "write: serve proxy PORT TARGETPORT."),
            (["serve", "udp", "65536"], "'65536' is no port: write serve udp PORT, with numbers from 0 to 65535."),
        ])
    func errors(_ arguments: [String], message: String) async throws {
        try await blocking {
            let end = try RunningCommand(["bench"] + arguments).finish()
            #expect(end.code == 64)
            #expect(end.output == "")
            #expect(end.errors.hasPrefix("Error: \(message)"))
        }
    }
}

@Suite("asyncio bench serve")
struct BenchServerTests {
    @Test("echoes, and ends in good order", arguments: [SIGTERM, SIGINT])
    func echo(_ signal: Int32) async throws {
        try await blocking {
            let (server, port) = try Self.start("echo", "0")
            let caller = try Caller(port)
            try caller.send("hello\n")
            #expect(try caller.line() == "hello")
            server.signal(signal)
            let end = try server.finish()
            #expect(end.code == 0)
            #expect(end.errors == "")
        }
    }

    @Test("passes on, also the end of one half")
    func proxy() async throws {
        try await blocking {
            let (target, targetPort) = try Self.start("echo", "0")
            let (server, port) = try Self.start("proxy", "0", "\(targetPort)")
            let caller = try Caller(port)
            try caller.send("hello\nand more")
            caller.closeWriting()
            #expect(try caller.line() == "hello")
            #expect(try caller.restOfBytes() == Array("and more".utf8))
            for command in [server, target] {
                command.signal(SIGTERM)
                #expect(try command.finish().code == 0)
            }
        }
    }

    @Test("sends datagrams back, also empty ones")
    func udp() async throws {
        try await blocking {
            let (server, port) = try Self.start("udp", "0")
            let socket = socket(AF_INET, Int32(SOCK_DGRAM.rawValue), 0)
            defer { close(socket) }
            try Caller.connect(socket, to: port)
            for text in ["hello", "", "again"] {
                let bytes = Array(text.utf8)
                #expect(unsafe send(socket, bytes, bytes.count, 0) == bytes.count)
                _ = try Waiting.any(of: [socket], until: Date(timeIntervalSinceNow: RunningCommand.patience))
                var answer = [UInt8](repeating: 0, count: 100)
                let count = unsafe recv(socket, &answer, answer.count, 0)
                #expect(answer.prefix(max(count, 0)) == bytes[...])
            }
            server.signal(SIGTERM)
            #expect(try server.finish().code == 0)
        }
    }

    @Test("says 'ready' and nothing else where the port was named, and why it cannot have one")
    func port() async throws {
        try await blocking {
            let (first, port) = try Self.start("echo", "0")
            let second = try RunningCommand("bench", "serve", "echo", "\(port)").finish()
            #expect(second.code == 1)
            #expect(second.output == "")
            #expect(second.errors.contains("127.0.0.1:\(port)"))
            first.signal(SIGTERM)
            #expect(try first.finish().code == 0)
            // Its port is free again.
            let third = try RunningCommand("bench", "serve", "echo", "\(port)")
            #expect(try third.line() == "ready")
            third.signal(SIGTERM)
            #expect(try third.finish().output == "")
        }
    }

    private static func start(_ words: String...) throws -> (RunningCommand, UInt16) {
        let server = try RunningCommand(["bench", "serve"] + words)
        let line = try server.line()
        let port = try #require(UInt16(line.dropFirst("ready ".count)), "no port in: \(line)")
        return (server, port)
    }
}
