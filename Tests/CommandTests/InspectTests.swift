import AsyncIO
import AsyncIOTestSupport
import Foundation
import Testing

@Suite("asyncio ps, pstree, top and trace", .serialized)
struct InspectTests {
    @Test("list the processes that can be inspected, and the tasks of one")
    func ps() async throws {
        try await withInspected { server, place in
            let list = try place.run("ps")
            #expect(list.code == 0)
            let row = try #require(list.output.split(separator: "\n").last)
            let words = row.split(separator: " ")
            #expect(words.prefix(3) == ["\(server.number)", "1", "3"])
            #expect(words.last?.hasSuffix("/asyncio") == true)
            let tasks = try place.run("ps", "\(server.number)")
            #expect(tasks.output.hasPrefix("ID  STATE"))
            #expect(tasks.output.contains("accept 127.0.0.1:"))
        }
    }

    @Test("speak JSON")
    func json() async throws {
        try await withInspected { server, place in
            let list = try JSONSerialization.jsonObject(with: Data(place.run("ps", "--json").output.utf8))
            // Others of the machine may be inspected, too.
            let all = try #require(list as? [[String: Any]])
            let processes = all.filter { $0["pid"] as? Int == Int(server.number) }
            #expect(processes.count == 1)
            #expect(processes.first?["error"] is NSNull)
            let text = try place.run("ps", "\(server.number)", "--json").output
            let tree = try #require(try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any])
            let tasks = try #require(tree["tasks"] as? [[String: Any]])
            #expect(tasks.count == 3)
            #expect(tasks.contains { ($0["wait"] as? [String: Any])?["kind"] as? String == "accept" })
        }
    }

    @Test("show each connection of a chat by its peer, in a tree and on one screen")
    func chat() async throws {
        let place = try InspectionRoom()
        try await blocking {
            let server = try place.start("serve", "chat", "--port", "0", "--inspect")
            let port = try server.port()
            let people = try ["anna", "berta"].map { try Caller(port, name: $0) }
            for arguments in [["pstree"], ["pstree", "--stacks"], ["top", "--times", "1"]] {
                let shown = try place.run(arguments + ["\(server.number)"])
                #expect(shown.code == 0)
                #expect(shown.output.split(separator: "\n").count { $0.contains("connection 127.0.0.1:") } == 2)
                #expect(shown.output.contains("read 127.0.0.1:"))
            }
            withExtendedLifetime(people) {}
            server.interrupt()
            #expect(try server.finish().code == 0)
        }
    }

    @Test("leave no socket behind, however a server ends", arguments: [SIGINT, SIGTERM, SIGKILL])
    func ending(_ signal: Int32) async throws {
        try await withInspected { server, place in
            #expect(place.sockets == ["\(server.number).sock"])
            server.signal(signal)
            _ = try server.finish()
            // Nobody can do anything after SIGKILL but who comes next.
            if signal == SIGKILL {
                #expect(place.sockets == ["\(server.number).sock"])
                let list = try place.run("ps")
                #expect(list.code == 0)
                #expect(!list.output.contains("\(server.number) "))
            }
            #expect(place.sockets == [])
        }
    }

    @Test("say why a process cannot be inspected", arguments: ["ps", "pstree", "top", "trace"])
    func errors(_ command: String) async throws {
        let place = try InspectionRoom()
        try await blocking {
            let none = try place.run(command, "2147483647")
            #expect(none.code == 1)
            #expect(none.errors == "Error: there is no process 2147483647\n")
            #expect(none.output == "")
            let server = try RunningCommand(["serve", "echo", "--port", "0"], environment: place.environment)
            _ = try server.line()
            let silent = try place.run(command, "\(server.number)")
            #expect(silent.code == 1)
            #expect(
                silent.errors.hasPrefix("Error: process \(server.number) (asyncio) is not inspected; start it with"))
            #expect(place.sockets == [])
        }
    }

    @Test("do not wait for a process that is stopped", arguments: ["ps", "pstree", "top", "trace"])
    func stopped(_ command: String) async throws {
        try await withInspected { server, place in
            server.signal(SIGSTOP)
            let stopped = try place.run(command, "\(server.number)")
            #expect(stopped.code == 1)
            #expect(stopped.errors.contains("is stopped; let it go on: kill -CONT \(server.number)"))
            #expect(try place.run("ps").output.contains("is stopped"))
            server.signal(SIGCONT)
            #expect(try place.run("pstree", "\(server.number)").code == 0)
            server.signal(SIGKILL)
            _ = try server.finish()
        }
    }

    /// A command that has begun to look at a server, and goes on as long as it may.
    private static func look(_ command: String, at server: RunningCommand, _ place: InspectionRoom) throws
        -> RunningCommand
    {
        let number = "\(server.number)"
        if command == "top" {
            let top = try place.start("top", number, "--every", "50ms", "--times", "100000")
            _ = try top.line()
            return top
        }
        return try trace(for: "60m", of: server, place)
    }

    /// One that records a server already.
    private static func trace(for time: String, of server: RunningCommand, _ place: InspectionRoom) throws
        -> RunningCommand
    {
        let trace = try place.start("trace", "\(server.number)", "--for", time, "-o", place.file("out.html"))
        // Who asks for the end of somebody else's is refused, and ends nothing.
        try EventLoop.run(options: EventLoop.Options(name: "asks", mode: .guest, interrupts: [])) {
            let stream = try await UnixStream.connect("\(place.folder)/\(server.number).sock")
            var heard = ""
            while !heard.contains("another inspector's") {
                try await stream.write("trace end json\n")
                guard let bytes = try await withTimeout(.seconds(30), { try await stream.read() }) else { break }
                heard = String(decoding: bytes, as: UTF8.self)
            }
            stream.close()
            #expect(heard.contains("another inspector's"))
        }
        return trace
    }

    @Test(
        "end with the process that they look at, and tell so", arguments: ["top", "trace"], [SIGTERM, SIGKILL])
    func endsMeanwhile(_ command: String, _ signal: Int32) async throws {
        try await withInspected { server, place in
            let looking = try Self.look(command, at: server, place)
            server.signal(signal)
            let end = try looking.finish()
            #expect(end.code == 1)
            #expect(end.errors.contains("process \(server.number) has ended meanwhile"), "\(end.errors)")
            // The next one who looks finds nothing, and leaves nothing behind.
            let next = try place.run("pstree", "\(server.number)")
            #expect(next.errors == "Error: there is no process \(server.number)\n")
            #expect(place.sockets == [])
            _ = try server.finish()
        }
    }

    @Test("tell of a process that is stopped while they look at it")
    func stopsMeanwhile() async throws {
        try await withInspected { server, place in
            let top = try Self.look("top", at: server, place)
            server.signal(SIGSTOP)
            let end = try top.finish()
            #expect(end.code == 1)
            #expect(end.errors.contains("is stopped; let it go on: kill -CONT \(server.number)"), "\(end.errors)")
            server.signal(SIGCONT)
            let trace = try Self.trace(for: "3s", of: server, place)
            server.signal(SIGSTOP)
            let traced = try trace.finish()
            #expect(traced.code == 1)
            #expect(traced.errors.contains("is stopped; let it go on"), "\(traced.errors)")
            server.signal(SIGKILL)
            _ = try server.finish()
        }
    }

    private static let asNobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]

    /// Why there is no other user here; nil if there is one.
    private static let noOtherUser: String? = {
        guard geteuid() == 0 else { return "only root can become another user" }
        let code = try? RunningCommand([], by: asNobody + ["test", "-x"]).finish().code
        return code == 0 ? nil : "there is no setpriv(1), or nobody else may run what was built here"
    }()

    @Test(
        "tell another user whose process it is", .enabled(if: Self.noOtherUser == nil, "\(Self.noOtherUser ?? "")"),
        arguments: ["ps", "pstree", "top", "trace"])
    func otherUser(_ command: String) async throws {
        try await withInspected { server, place in
            let number = "\(server.number)"
            let end = try RunningCommand([command, number], by: Self.asNobody, environment: place.environment).finish()
            #expect(end.code == 1)
            let reason = "is another user's (0): only that user and root may inspect it"
            #expect(end.errors == "Error: process \(number) (asyncio) \(reason)\n")
        }
    }

    @Test("record what a process does")
    func trace() async throws {
        try await withInspected { server, place in
            let json = place.file("out.json")
            let end = try place.run("trace", "\(server.number)", "--for", "50ms", "-o", json)
            #expect(end.code == 0)
            #expect(end.errors.hasPrefix("trace: \(json) ("))
            let trace = try JSONSerialization.jsonObject(with: Data(contentsOf: URL(filePath: json)))
            #expect(trace is [String: Any])
            let html = place.file("out.html")
            #expect(try place.run("trace", "\(server.number)", "--for", "50ms", "-o", html).code == 0)
            #expect(try String(contentsOfFile: html, encoding: .utf8).lowercased().hasPrefix("<!doctype html>"))
        }
    }

    @Test("record a command from its start to its end, and end as it does")
    func traceCommand() async throws {
        let place = try InspectionRoom()
        try await blocking {
            let json = place.file("out.json")
            let end = try place.run("trace", "-o", json, "--", RunningCommand.path(), "run", "--", "exit 3")
            #expect(end.code == 1)
            #expect(end.output.contains("exited with 3"))
            let text = try String(contentsOfFile: json, encoding: .utf8)
            #expect(text.contains("list of commands"), "a task of its first moments")
            let none = try place.run("trace", "-o", place.file("none.html"), "--", "sh", "-c", "exit 7")
            #expect(none.code == 7)
            #expect(none.errors.contains("has left no trace"))
            #expect(try place.run("trace", "-o", json).code == 64)
            #expect(try place.run("trace", "1", "-o", json, "--", "true").code == 64)
        }
    }

    @Test("record a command for a while, which goes on after that")
    func traceCommandForAWhile() async throws {
        let place = try InspectionRoom()
        try await blocking {
            let json = place.file("out.json")
            let tracing = try place.start(
                "trace", "--for", "1s", "-o", json, "--", RunningCommand.path(), "serve", "echo", "--port", "0")
            let port = try tracing.port()
            while !FileManager.default.fileExists(atPath: json) { sched_yield() }
            // The server is still there, and ends as it is told.
            let caller = try Caller(port)
            try caller.send("hello\n")
            #expect(try caller.line() == "hello")
            tracing.signal(SIGTERM)
            #expect(try tracing.finish().code == 0)
        }
    }

    @Test("top gives the terminal back as it was", arguments: ["q", "\u{3}"])
    func terminal(_ key: String) async throws {
        try await withInspected { server, place in
            let shown = try EventLoop.run(options: EventLoop.Options(name: "terminal", mode: .guest, interrupts: [])) {
                try await withTimeout(.seconds(30)) {
                    let terminal = try await PseudoTerminal.open(rows: 24, columns: 80)
                    let command = try Command(
                        RunningCommand.path(), ["top", "\(server.number)"],
                        environment: .custom(place.variables.merging(["TERM": "xterm"]) { $1 }))
                    let top = try await Process.spawn(command, at: terminal)
                    var bytes: [UInt8] = []
                    func read(until end: String) async throws {
                        while !String(decoding: bytes, as: UTF8.self).contains(end),
                            let more = try await terminal.read()
                        {
                            bytes += more
                        }
                    }
                    try await read(until: "q quit")
                    try terminal.resize(rows: 30, columns: 100)
                    try await read(until: "\u{1b}[30;1H")
                    try await terminal.write(Array(key.utf8))
                    try await read(until: "\u{1b}[?1049l")
                    #expect(try await top.wait() == .exited(0))
                    return String(decoding: bytes, as: UTF8.self)
                }
            }
            #expect(shown.hasPrefix("\u{1b}[?1049h\u{1b}[?25l"))
            #expect(shown.contains("accept 127.0.0.1:"))
            #expect(shown.contains("\u{1b}[?25h\u{1b}[?1049l"))
        }
    }
}

/// A folder of the test's own where sockets are, and files.
private final class InspectionRoom: Sendable {
    private let scratch: Scratch

    init() throws { scratch = try Scratch() }

    var variables: [String: String] { ["PATH": "/usr/bin:/bin", "XDG_RUNTIME_DIR": scratch.path] }
    var environment: [String] { variables.map { "\($0)=\($1)" } }
    var folder: String { scratch["asyncio"] }
    var sockets: [String] { scratch.names("asyncio").sorted() }

    func file(_ name: String) -> String { scratch[name] }

    func start(_ arguments: String...) throws -> RunningCommand {
        try RunningCommand(arguments, environment: environment)
    }

    func run(_ arguments: String...) throws -> (code: Int32, output: String, errors: String) { try run(arguments) }

    func run(_ arguments: [String]) throws -> (code: Int32, output: String, errors: String) {
        try RunningCommand(arguments, environment: environment).finish()
    }
}

/// Runs a body, which may block, with an echo server that can be inspected.
private func withInspected(_ body: @escaping @Sendable (RunningCommand, InspectionRoom) throws -> Void) async throws {
    let place = try InspectionRoom()
    try await blocking {
        let server = try place.start("serve", "echo", "--port", "0", "--inspect")
        _ = try server.line()
        // The socket is made beside the loop's work.
        while place.sockets != ["\(server.number).sock"] { sched_yield() }
        try body(server, place)
    }
}
