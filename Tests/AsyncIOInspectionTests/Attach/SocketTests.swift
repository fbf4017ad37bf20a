import AsyncIOKernel
import AsyncIOLoop
import AsyncIOTestSupport
import Foundation
import Synchronization
import Testing

@testable import AsyncIOInspection

@Suite("The socket of inspection")
struct SocketTests {
    @Test("answers, line by line, and says goodbye on quit")
    func conversation() async throws {
        try await withSocket { path in
            let inspector = try RawInspector(path)
            inspector.send("hello\n")
            #expect(
                try inspector.answer() == ["process\tpid=42\tprogram=/bin/test\tprotocol=1\tloops=1\tage=1000000000"])
            inspector.send("loops\r\ntree\n")
            #expect(try inspector.answer().map { $0.prefix(4) } == ["proc", "loop", "loop", "loop", "note", "note"])
            #expect(try inspector.answer().count { $0.hasPrefix("task\t") } == 50)
            inspector.send("dance\n")
            #expect(try inspector.answer().first?.hasPrefix("error unknown request") == true)
            inspector.send("quit\nhello\n")
            #expect(try inspector.rest() == [])
        }
    }

    @Test("answers somebody who says all at once and closes their half, as nc -N does")
    func halfClose() async throws {
        try await withSocket { path in
            let inspector = try RawInspector(path)
            inspector.send("hello\ntree\ntree stacks\nhello\n")
            inspector.closeWriting()
            let text = String(decoding: try inspector.rest(), as: UTF8.self)
            #expect(text.split(separator: "\n").count { $0 == "end" } == 4)
        }
    }

    @Test("gives traces as bytes, one at a time")
    func traces() async throws {
        try await withSocket { path in
            let first = try RawInspector(path)
            // The trace begins before anybody else is listened to.
            first.send("hello\ntrace 500ms html\n")
            _ = try first.answer()
            let second = try RawInspector(path)
            second.send("trace 1ms json\n")
            #expect(try second.answer() == ["error somebody else traces"])
            #expect(try first.answer() == ["bytes 6", "html "])
        }
    }

    @Test("ends the trace of somebody who has gone")
    func abandonedTrace() async throws {
        try await withSocket { path in
            var first: RawInspector? = try RawInspector(path)
            first?.send("hello\ntrace 60m html\n")
            _ = try first?.answer()
            first = nil
            // Refused as long as the other one goes on.
            var answer: String?
            while answer != "bytes 6" {
                let second = try RawInspector(path)
                second.send("trace 1ms json\n")
                answer = try second.line()
            }
        }
    }

    @Test("is for its user alone, in a folder of its user alone")
    func permissions() async throws {
        try await withSocket { path in
            var status = stat()
            #expect(unsafe lstat(path, &status) == 0)
            #expect(status.st_mode & S_IFMT == S_IFSOCK)
            #expect(status.st_mode & 0o7777 == 0o600)
        }
    }

    @Test("goes when it is closed, and comes again")
    func closing() async throws {
        let scratch = try Scratch()
        try await Watchdog.onThread {
            let socket = InspectionSocket(answers: .canned, folder: scratch.path)
            for _ in 0..<3 {
                let path = open(socket)
                let inspector = try RawInspector(path)
                inspector.send("hello\n")
                #expect(try inspector.answer().count == 1)
                socket.close()
                #expect(socket.path == nil)
                #expect(try inspector.rest() == [], "who is connected is let go")
                #expect(scratch.names() == [])
            }
            // One that is closed at once leaves nothing behind, whatever its thread has come to.
            for _ in 0..<50 {
                socket.open()
                socket.close()
            }
            #expect(scratch.names() == [])
        }
    }

    @Test("is there whenever a loop is, also where the last one ends while the next one begins")
    func settling() async throws {
        try await Watchdog.onThread {
            let runners = try (0..<2).map { _ in try EventLoop.Runner(options: .guest()) }
            let (first, second) = (runners[0].loop, runners[1].loop)
            let steps = Condition<[String]>([])
            let home = Condition<ProcessInspector?>(nil)
            let threads = Condition<[SystemThread]>([])
            let inspector = ProcessInspector(
                socket: SocketSwitch(
                    open: { steps.withLock { $0.append("opens") } },
                    close: {
                        guard let inspector = home.withLock({ $0 }) else { return }
                        // Now: the other one begins, and comes as far as it can.
                        let thread = try? SystemThread.start(name: "begins") { inspector.loopRuns(second) }
                        threads.withLock { $0 += thread.map { [$0] } ?? [] }
                        while !inspector.loops.contains(where: { $0 === second }) { sched_yield() }
                        for _ in 0..<10_000 { sched_yield() }
                        steps.withLock { $0.append("closes") }
                    }))
            _ = inspector.start(Inspection.Options(socket: true))
            inspector.loopRuns(first)
            home.withLock { $0 = inspector }
            inspector.loopEnds(first)
            for thread in threads.withLock({ $0 }) { thread.join() }
            #expect(steps.withLock { $0 } == ["opens", "closes", "opens"])
            home.withLock { $0 = nil }
            inspector.loopEnds(second)
            for runner in runners { runner.close() }
        }
    }

    @Test("takes the place of a dead one, and not of one that is alive")
    func staleSocket() async throws {
        let scratch = try Scratch()
        try await Watchdog.onThread {
            let name = InspectionPlace.name(of: getpid())
            _ = try scratch.file(name)
            let first = InspectionSocket(answers: .canned, folder: scratch.path)
            let path = open(first)
            #expect(try RawInspector(path).send("hello\n"))
            // As a process of another namespace with this number would be. It says so on standard error.
            let second = InspectionSocket(answers: .canned, folder: scratch.path)
            second.open()
            #expect(second.path == nil)
            let inspector = try RawInspector(path)
            inspector.send("hello\n")
            #expect(try inspector.answer().count == 1)
            first.close()
        }
    }

    @Test("is not made where others could put theirs")
    func folders() throws {
        let scratch = try Scratch()
        let user = geteuid()
        _ = unsafe mkdir(scratch["good"], 0o700)
        try InspectionPlace.check(scratch["good"], user: user)
        _ = unsafe mkdir(scratch["open"], 0o755)
        #expect(throws: InspectionPlace.Refusal.self) { try InspectionPlace.check(scratch["open"], user: user) }
        _ = unsafe symlink(scratch["good"], scratch["link"])
        #expect(throws: InspectionPlace.Refusal.self) { try InspectionPlace.check(scratch["link"], user: user) }
        try scratch.file("file", mode: 0o600)
        #expect(throws: InspectionPlace.Refusal.self) { try InspectionPlace.check(scratch["file"], user: user) }
        #expect(throws: InspectionPlace.Refusal.self) { try InspectionPlace.check(scratch["good"], user: user + 1) }
        #expect(throws: InspectionPlace.Refusal.self) { try InspectionPlace.check(scratch["none"], user: user) }
    }

    @Test("is looked for in the session's folder first")
    func places() {
        #expect(
            InspectionPlace.folders(of: 7, runtimeFolder: "/run/x") == [
                "/run/x/asyncio", "/run/user/7/asyncio", "/tmp/asyncio-7",
            ])
        #expect(InspectionPlace.folders(of: 7, runtimeFolder: "/run/user/7/").count == 2)
        #expect(
            InspectionPlace.folders(of: 7, runtimeFolder: "run") == InspectionPlace.folders(of: 7, runtimeFolder: nil))
        #expect(InspectionPlace.process(named: "12.sock") == 12)
        for name in ["012.sock", "-1.sock", "x.sock", "12.sock.new", "12", "+1.sock", "99999999999.sock"] {
            #expect(InspectionPlace.process(named: name) == nil)
        }
    }
}

/// Runs a body, which may block, with the path of a socket whose answers are canned.
func withSocket(
    _ answers: InspectionAnswers = .canned, patience: Duration = Visitor.patience,
    _ body: @escaping @Sendable (String) throws -> Void
) async throws {
    let scratch = try Scratch()
    try await Watchdog.onThread {
        let socket = InspectionSocket(answers: answers, folder: scratch.path, patience: patience)
        defer { socket.close() }
        try body(open(socket))
    }
}

/// Opens a socket, and waits until it is there.
func open(_ socket: InspectionSocket) -> String {
    socket.open()
    while true {
        if let path = socket.path { return path }
        sched_yield()
    }
}

extension InspectionAnswers {
    /// Those of a process that does not exist.
    static var canned: InspectionAnswers { canned(tasks: 50) }

    static func canned(tasks: Int) -> InspectionAnswers {
        var dice = Dice(seed: 1)
        let tree = dice.tree(tasks: tasks)
        let isTracing = Mutex(false)
        let box = Box(isTracing)
        return InspectionAnswers(
            process: { ProcessLine(pid: 42, program: "/bin/test", loops: 1, age: .seconds(1)) },
            tree: { _ in tree },
            beginTrace: {
                box.value.withLock { isTracing in
                    if isTracing { return "somebody else traces" }
                    isTracing = true
                    return nil
                }
            },
            endTrace: { form in
                box.value.withLock { $0 = false }
                return Array("\(form?.rawValue ?? "") \n".utf8)
            })
    }
}

private final class Box: Sendable {
    let value: Mutex<Bool>
    init(_ value: consuming Mutex<Bool>) { self.value = value }
}
