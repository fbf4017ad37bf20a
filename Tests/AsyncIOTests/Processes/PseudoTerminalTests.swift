import AsyncIO
import AsyncIOKernel
import AsyncIOTestSupport
import Glibc
import SystemPackage
import Testing

@Suite("A pseudo-terminal")
struct PseudoTerminalTests {
    @Test("is the child's standard streams, of the size that it was given", arguments: Setting.all)
    func size(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let terminal = try await PseudoTerminal.open(rows: 33, columns: 99, on: loop)
            let process = try await Process.spawn(
                .shell("tty; test -t 0 && test -t 1 && test -t 2 && stty size; ls /proc/self/fd"), at: terminal)
            let text = try await Self.all(terminal)
            #expect(text == "\(terminal.path)\r\n33 99\r\n0  1  2  3\r\n")
            #expect(try await process.wait() == .exited(0))
            try terminal.resize(rows: 5, columns: 6)
            #expect(try terminal.size == (5, 6))
            terminal.close()
            #expect(try await ioError { try terminal.size }.code == .badFileDescriptor)
            let late = try await ioError { try await Process.spawn(Command("true"), at: terminal) }
            #expect(late.code == .badFileDescriptor && late.subject == terminal.path)
        }
    }

    @Test("Ctrl-C that is typed interrupts the child, and Ctrl-D ends its input", arguments: Setting.all)
    func controls(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let terminal = try await PseudoTerminal.open(on: loop)
            let sleeper = try await Process.spawn(.shell("echo ready; exec sleep 300"), at: terminal)
            try await Self.awaitReady(terminal)
            try await terminal.write([3])
            #expect(try await sleeper.wait() == .signalled(.interrupt, coreDumped: false))
            let other = try await PseudoTerminal.open(on: loop)
            let cat = try await Process.spawn(Command("cat"), at: other)
            try await other.write("word\n")
            try await other.closeWriting()
            #expect(try await cat.wait() == .exited(0))
            // Once echoed, once from cat.
            #expect(try await Self.all(other).filter { $0 != "\u{8}" && $0 != "^" && $0 != "D" } == "word\r\nword\r\n")
        }
    }

    @Test("its child leads a group, which is ended as a whole", arguments: Setting.all)
    func group(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let terminal = try await PseudoTerminal.open(on: loop)
            let script = "(trap '' HUP TERM; exec sleep 300) & echo ready; wait"
            let process = try await Process.spawn(.shell(script), at: terminal)
            #expect(process.command.group == .session)
            try await Self.awaitReady(terminal)
            try await process.terminate(Termination(scope: .group))
            // The end comes when all of them have gone.
            #expect(try await terminal.read() == nil)
        }
    }

    @Test("closing it hangs up", arguments: Setting.all)
    func hangUp(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let terminal = try await PseudoTerminal.open(on: loop)
            let process = try await Process.spawn(.shell("echo ready; exec sleep 300"), at: terminal)
            try await Self.awaitReady(terminal)
            terminal.close()
            #expect(try await process.wait() == .signalled(.hangup, coreDumped: false))
            #expect(try await ioError { try await terminal.read() }.code == .badFileDescriptor)
        }
    }

    /// Reads the child's "ready" and its end of line, which the kernel may hand over one after the other.
    private static func awaitReady(_ terminal: PseudoTerminal) async throws {
        var bytes: [UInt8] = []
        while bytes.last != UInt8(ascii: "\n") { bytes += try #require(try await terminal.read()) }
        #expect(bytes == Array("ready\r\n".utf8))
    }

    /// What it shows, to the end.
    private static func all(_ terminal: PseudoTerminal) async throws -> String {
        var bytes: [UInt8] = []
        while let more = try await terminal.read() { bytes += more }
        return String(decoding: bytes, as: UTF8.self)
    }
}
