import AsyncIOTestSupport
import Foundation
import Testing

@testable import AsyncIOInspection

/// Connects and prints what it hears, or the error.
private let visit = """
    import socket, sys
    s = socket.socket(socket.AF_UNIX)
    try:
        s.connect(sys.argv[1])
        s.settimeout(30)
        text = b""
        while True:
            piece = s.recv(4096)
            if not piece: break
            text += piece
        print(text.decode(), end="")
    except PermissionError:
        print("no way in")
    """

/// What another user gets to see: real ones, for which the tests have to run as root.
@Suite("Another user")
struct OtherUserTests {
    /// Why there is none here; nil if there is one.
    static let refusal: String? = {
        guard geteuid() == 0 else { return "only root can become another user" }
        guard let output = try? run(["true"]), output == "" else { return "there is no setpriv(1) that works" }
        return (try? run(["python3", "-c", "print(1)"])) == "1\n" ? nil : "there is no python3"
    }()

    /// Runs a program as `nobody`, and returns what it prints.
    static func run(_ words: [String]) throws -> String {
        let process = Foundation.Process()
        process.executableURL = URL(filePath: "/usr/bin/env")
        process.arguments = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"] + words
        process.currentDirectoryURL = URL(filePath: "/")
        process.environment = ["PATH": "/usr/bin:/bin"]
        let output = Foundation.Pipe()
        process.standardOutput = output
        process.standardError = FileHandle.nullDevice
        try process.run()
        let bytes = try output.fileHandleForReading.readToEnd() ?? Data()
        process.waitUntilExit()
        return String(decoding: bytes, as: UTF8.self) + (process.terminationStatus == 0 ? "" : "failed")
    }

    @Test(
        "has no way into the folder, and is refused where somebody has opened it",
        .enabled(if: Self.refusal == nil, "\(Self.refusal ?? "")"))
    func refused() async throws {
        try await withSocket { path in
            let words = ["python3", "-c", visit, path]
            #expect(try Self.run(words) == "no way in\n")
            let folder = URL(filePath: path).deletingLastPathComponent().path()
            _ = unsafe chmod(folder, 0o755)
            #expect(try Self.run(words) == "no way in\n", "the socket itself is the owner's alone")
            _ = unsafe chmod(path, 0o777)
            #expect(try Self.run(words) == "error only the process's own user may inspect it\n")
            // Root may.
            let inspector = try RawInspector(path)
            inspector.send("hello\n")
            #expect(try inspector.answer().count == 1)
        }
    }
}
