import AsyncIO
import AsyncIOTestSupport
import Foundation
import Testing

@Suite("asyncio connect")
struct ConnectCommandTests {
    @Test("sends its input, half-closes, and prints what comes until the other side has finished")
    func echo() async throws {
        try await withEcho { port in
            let input = try Ends()
            input.write("one\ntwo\n")
            input.finish()
            let command = try RunningCommand(["connect", "127.0.0.1:\(port)"], input: .descriptor(input.reading))
            let (code, output, errors) = try command.finish()
            #expect((code, output, errors) == (0, "one\ntwo\n", ""))
        }
    }

    @Test("reads a file and writes a file")
    func files() async throws {
        try await withEcho { port in
            let text = String(repeating: "0123456789abcde\n", count: 40_000)
            let input = try File(text), output = try File("")
            let command = try RunningCommand(
                ["connect", "127.0.0.1:\(port)"], input: .descriptor(input.number), output: .descriptor(output.number))
            #expect(try command.finish().code == 0)
            #expect(output.text == text)
        }
    }

    @Test("takes no input, or none at all, for its end", arguments: [true, false])
    func nothing(isOpen: Bool) async throws {
        try await withEcho { port in
            let null = unsafe open("/dev/null", O_RDONLY | O_CLOEXEC)
            defer { close(null) }
            let command = try RunningCommand(
                ["connect", "127.0.0.1:\(port)"], input: isOpen ? .descriptor(null) : .closed)
            let (code, output, errors) = try command.finish()
            #expect((code, output, errors) == (0, "", ""))
        }
    }

    @Test("ends quietly when nobody reads what it prints")
    func brokenPipe() async throws {
        try await withEcho { port in
            let input = try Ends(), output = try Ends()
            let command = try RunningCommand(
                ["connect", "127.0.0.1:\(port)"], input: .descriptor(input.reading),
                output: .descriptor(output.writing))
            output.close()
            input.write("lost\n")
            let (code, _, errors) = try command.finish()
            #expect((code, errors) == (0, ""))
        }
    }

    @Test("works at a terminal, and leaves its flags as they were")
    func terminal() async throws {
        try await withEcho { port in
            let terminal = try Terminal()
            let before = fcntl(terminal.shell, F_GETFL)
            let command = try RunningCommand(
                ["connect", "127.0.0.1:\(port)"], input: .descriptor(terminal.shell),
                output: .descriptor(terminal.shell))
            terminal.type("hello\n")
            // The terminal shows what is typed, and then the answer.
            try terminal.expect("hello\r\nhello\r\n")
            #expect(fcntl(terminal.shell, F_GETFL) == before)
            terminal.type("\u{4}")
            #expect(try command.finish().code == 0)
            #expect(fcntl(terminal.shell, F_GETFL) == before)
        }
    }

    @Test("says why it cannot connect")
    func refused() async throws {
        try await blocking {
            let (code, output, errors) = try RunningCommand("connect", "127.0.0.1:1").finish()
            #expect((code, output) == (1, ""))
            #expect(errors == "Error: connect 127.0.0.1:1: Connection refused\n")
        }
    }

    @Test(
        "explains what it does not understand",
        arguments: [
            ("127.0.0.1", "has no port: write HOST:PORT"), ("host:99999", "has no port"),
            ("::1:80", "write an IPv6 address in brackets"), ("unix:", "unix:"),
        ])
    func usage(argument: String, remedy: String) async throws {
        try await blocking {
            let (code, _, errors) = try RunningCommand("connect", argument).finish()
            #expect(code == 64)
            #expect(errors.contains(remedy))
        }
    }
}

/// A pipe of the test's own.
final class Ends: Sendable {
    let reading: Int32
    let writing: Int32

    init() throws {
        var ends: [Int32] = [-1, -1]
        try #require(unsafe pipe(&ends) == 0)
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        (reading, writing) = (ends[0], ends[1])
    }

    func write(_ text: String) { _ = unsafe Foundation.write(writing, text, text.utf8.count) }
    func finish() { Foundation.close(writing) }
    func close() {
        Foundation.close(reading)
        Foundation.close(writing)
    }
}

/// A file without a name.
private final class File: Sendable {
    private let descriptor: Descriptor
    var number: Int32 { descriptor.number }

    init(_ text: String) throws { descriptor = try Scratch.nameless(Array(text.utf8)) }

    var text: String {
        var bytes = [UInt8](repeating: 0, count: 2_000_000)
        let count = unsafe pread(number, &bytes, bytes.count, 0)
        return String(decoding: bytes.prefix(max(count, 0)), as: UTF8.self)
    }
}

/// A pseudo-terminal: what a person sees and types, and what the command has.
private final class Terminal: Sendable {
    private let person: Int32
    let shell: Int32

    init() throws {
        person = unsafe open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC)
        // unlockpt(3) and ptsname(3), by the calls behind them (ioctl_tty(2)): Glibc's module has neither.
        var number: UInt32 = 0
        var isLocked: Int32 = 0
        let (getNumber, setLock): (UInt, UInt) = (0x8004_5430, 0x4004_5431)
        try #require(unsafe ioctl(person, setLock, &isLocked) == 0 && ioctl(person, getNumber, &number) == 0)
        shell = unsafe open("/dev/pts/\(number)", O_RDWR | O_NOCTTY | O_CLOEXEC)
        try #require(shell >= 0)
    }

    deinit {
        close(person)
        close(shell)
    }

    func type(_ text: String) { _ = unsafe write(person, text, text.utf8.count) }

    func expect(_ text: String) throws {
        let deadline = Date(timeIntervalSinceNow: RunningCommand.patience)
        var seen = ""
        while seen.utf8.count < text.utf8.count {
            let bytes = try #require(try Waiting.read(person, until: deadline))
            seen += String(decoding: bytes, as: UTF8.self)
        }
        #expect(seen == text)
    }
}
