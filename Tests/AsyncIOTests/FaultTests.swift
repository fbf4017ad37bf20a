import AsyncIOLoop
import AsyncIOTestSupport
import Testing

/// Runs Tests/Faults/faults.py: a server in a process of its own whose system calls fail, by strace or by real
/// shortage.
@Suite("Faults", .serialized, .timeLimit(.minutes(30)))
struct FaultTests {
    /// Each in its order in the script, over both drivers or over those that it says something about.
    private static let all: [(name: String, drivers: [DriverChoice])] = [
        "signals-arrive-all-the-time", "descriptors-run-out", "clients-reset-all-the-time", "nobody-reads",
        "idle-connections-stay-quiet", "accept-fails-once", "accept-fails-every-third-time",
        "accept-fails-for-a-while", "accept-finds-nothing-left", "accept-fails-for-good", "read-fails", "write-fails",
        "calls-are-interrupted", "registering-fails", "waiting-in-nanoseconds-is-not-there",
        "waiting-in-the-ring-fails-for-a-moment", "the-ring-is-refused", "starting-fails", "working-fails",
        "connect-fails",
    ].map { name in
        switch name {
        case "registering-fails", "waiting-in-nanoseconds-is-not-there": (name, [.epoll])
        case "waiting-in-the-ring-fails-for-a-moment": (name, [.uring])
        case "the-ring-is-refused": (name, [.auto])
        default: (name, [.epoll, .uring])
        }
    }

    /// Over all drivers at the same time: most of it is waiting.
    @Test("cost one connection at most, and leave the server as it was", arguments: all.map(\.name))
    func scenario(_ name: String) async throws {
        let probe = ProbeProcess.folder + "/fault-probe"
        let drivers = Self.all.first { $0.name == name }?.drivers ?? []
        try await withThrowingTaskGroup(of: Void.self) { group in
            for driver in drivers where driver == .epoll || Drivers.available.contains(.uring) {
                group.addTask {
                    let (code, lines) = try await Self.run([probe, driver.rawValue, name])
                    for line in lines { print(line) }
                    switch code {
                    case 0: #expect(lines.last?.hasPrefix("\(name): kept") == true)
                    case 77: #expect(lines.last?.contains("skipped: ") == true)
                    case 127: print("skipped: python3 is not installed")
                    default: Issue.record("\(driver.rawValue): \(lines.joined(separator: "\n"))")
                    }
                }
            }
            try await group.waitForAll()
        }
    }

    @Test("the list here is the script's")
    func list() async throws {
        let (code, lines) = try await Self.run(["--list"])
        guard code != 127 else { return print("skipped: python3 is not installed") }
        #expect(lines == Self.all.flatMap { name, drivers in drivers.map { "\($0.rawValue) \(name)" } })
    }

    private static let script =
        #filePath.split(separator: "/", omittingEmptySubsequences: false).dropLast(2)
        .joined(separator: "/") + "/Faults/faults.py"

    /// Runs python3; its code is 127 where there is none.
    private static func run(_ arguments: [String]) async throws -> (code: CInt, lines: [String]) {
        try await Watchdog.onThread("faults.py \(arguments.joined(separator: " "))") {
            var process = try ProbeProcess("/usr/bin/env", ["python3", "-B", script] + arguments)
            guard case .exited(let code) = process.end() else { return (-1, process.lines) }
            return (code, process.lines)
        }
    }
}
