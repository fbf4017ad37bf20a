import AsyncIOTestSupport
import Foundation
import Testing

/// Where io_uring is forbidden, as in most containers, everything goes on over epoll, and one line says so.
@Suite("asyncio without io_uring", .serialized)
struct DriverChoiceTests {
    private static let script = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .appending(path: "Faults/without_uring.py").path()

    private static func echo(
        _ restrictions: [String], _ driver: String = "auto", environment: [String] = []
    ) throws -> RunningCommand {
        try RunningCommand(
            ["serve", "echo", "--port", "0", "--loops", "2", "--driver", driver],
            by: ["python3", script] + restrictions + ["--"],
            environment: ["PATH=\(ProcessInfo.processInfo.environment["PATH"] ?? "/usr/bin:/bin")"] + environment)
    }

    @Test(
        "falls back to epoll, and says so once",
        arguments: [
            ["--error", "EPERM"], ["--error", "ENOSYS"], ["--error", "ENOMEM"],
            ["--error", "EPERM", "--only", "enter"],
            ["--error", "ENOSYS", "--only", "register"],
        ])
    func fallsBack(restrictions: [String]) async throws {
        try await blocking {
            let server = try Self.echo(restrictions)
            let greeting = try server.line()
            #expect(greeting.contains("(epoll, 2 loops"))
            let caller = try Caller(RunningCommand.port(in: greeting))
            try caller.send("hello\n")
            #expect(try caller.line() == "hello")
            caller.closeWriting()
            server.interrupt()
            let end = try server.finish()
            #expect(end.code == 0)
            let notices = end.errors.split(separator: "\n")
            #expect(notices.count == 1, "two loops, one notice: \(end.errors)")
            #expect(notices.first?.hasPrefix("asyncio: using epoll, since io_uring is ") == true)
        }
    }

    /// Without a privilege, the kernel counts what a ring takes as locked memory.
    @Test("echoes for a normal user who may lock no memory, or a little", arguments: [0, 65_536])
    func memlock(bytes: Int) async throws {
        guard geteuid() == 0 else {
            print("not root: nobody else to run as")
            return
        }
        guard try Self.everybodyReachesTheBuild() else {
            print("the build lies where other users have no access: nobody else can run it")
            return
        }
        try await blocking {
            let server = try Self.echo(["--error", "none", "--user", "nobody", "--memlock", "\(bytes)"])
            let caller = try Caller(server.port())
            try caller.send("hello\n")
            #expect(try caller.line() == "hello")
            caller.closeWriting()
            server.interrupt()
            let end = try server.finish()
            #expect(end.code == 0)
            #expect(end.errors.split(separator: "\n").count <= 1, "\(end.errors)")
        }
    }

    private static func everybodyReachesTheBuild() throws -> Bool {
        var folder = URL(filePath: try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe"))
        while folder.path() != "/" {
            folder.deleteLastPathComponent()
            let mode = try FileManager.default.attributesOfItem(atPath: folder.path())[.posixPermissions] as? NSNumber
            if (mode?.intValue ?? 0) & 0o1 == 0 { return false }
        }
        return true
    }

    @Test("is quiet where epoll was asked for", arguments: [("epoll", []), ("auto", ["ASYNCIO_DRIVER=epoll"])])
    func quiet(driver: String, environment: [String]) async throws {
        try await blocking {
            let server = try Self.echo(["--error", "EPERM"], driver, environment: environment)
            #expect(try server.line().contains("(epoll, 2 loops"))
            server.interrupt()
            #expect(try server.finish().errors == "")
        }
    }

    @Test("fails where io_uring was asked for", arguments: [("io_uring", []), ("auto", ["ASYNCIO_DRIVER=io_uring"])])
    func required(driver: String, environment: [String]) async throws {
        try await blocking {
            let end = try Self.echo(["--error", "EPERM"], driver, environment: environment).finish()
            #expect(end.code != 0)
            #expect(end.errors.contains("io_uring") && end.errors.contains("seccomp"), "\(end.errors)")
        }
    }

    @Test("a name in the environment that is no driver's is refused")
    func nonsense() async throws {
        try await blocking {
            let end = try Self.echo(["--error", "none"], environment: ["ASYNCIO_DRIVER=kqueue"]).finish()
            #expect(end.code != 0)
            #expect(end.errors.contains("kqueue") && end.errors.contains("epoll or io_uring"), "\(end.errors)")
        }
    }
}
