import AsyncIOTestSupport
import Foundation
import Testing

/// Runs Tests/Faults/faults.py: a server in a process of its own whose system calls fail, by strace or by real
/// shortage.
@Suite("Faults", .serialized, .timeLimit(.minutes(30)))
struct FaultTests {
    static let scenarios = [
        "signals-arrive-all-the-time", "descriptors-run-out", "clients-reset-all-the-time", "nobody-reads",
        "idle-connections-stay-quiet", "accept-fails-once", "accept-fails-every-third-time",
        "accept-fails-for-a-while", "accept-finds-nothing-left", "accept-fails-for-good", "read-fails", "write-fails",
        "calls-are-interrupted", "registering-fails", "waiting-in-nanoseconds-is-not-there", "starting-fails",
        "connect-fails",
    ]

    @Test("cost one connection at most, and leave the server as it was", arguments: scenarios)
    func scenario(_ name: String) async throws {
        let probe = Self.products.appendingPathComponent("fault-probe")
        try #require(FileManager.default.isExecutableFile(atPath: probe.path), "the probe is built with the tests")
        let (code, output) = try await Self.run([Self.script.path, probe.path, name])
        print(output, terminator: "")
        switch code {
        case 0: #expect(output.contains("\(name): kept"))
        case 77: #expect(output.contains("skipped: "))
        case 127: print("skipped: python3 is not installed")
        default: Issue.record("\(output)")
        }
    }

    @Test("the list here is the script's")
    func list() async throws {
        let (code, output) = try await Self.run([Self.script.path, "--list"])
        guard code != 127 else { return print("skipped: python3 is not installed") }
        #expect(output.split(separator: "\n").map(String.init) == Self.scenarios)
    }

    private static let script = URL(fileURLWithPath: #filePath)
        .deletingLastPathComponent().deletingLastPathComponent().appendingPathComponent("Faults/faults.py")

    /// Where the build puts executables: this one among them.
    private static let products = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath()
        .deletingLastPathComponent()

    /// Runs python3; its code is 127 where there is none.
    private static func run(_ arguments: [String]) async throws -> (Int32, String) {
        try await onThread {
            let process = Process()
            process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
            process.arguments = ["python3", "-B"] + arguments
            let pipe = Foundation.Pipe()
            process.standardOutput = pipe
            process.standardError = pipe
            try process.run()
            let output = pipe.fileHandleForReading.readDataToEndOfFile()
            process.waitUntilExit()
            return (process.terminationStatus, String(decoding: output, as: UTF8.self))
        }
    }
}
