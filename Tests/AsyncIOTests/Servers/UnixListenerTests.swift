import AsyncIOKernel
import AsyncIOLoop
import AsyncIOTestSupport
import AsyncIOTesting
import CAsyncIO
import Glibc
import SystemPackage
import Testing

@testable import AsyncIO

@Suite("Listening on Unix sockets", .timeLimit(.minutes(30)))
struct UnixListenerTests {
    private static let echo: @Sendable (UnixStream) async throws -> Void = { connection in
        while let bytes = try await connection.read() { try await connection.write(bytes) }
    }

    @Test("serves as TCP does, and the file goes with the listener", arguments: Setting.all)
    func serves(setting: Setting) async throws {
        let folder = try Scratch()
        let path = folder["echo.sock"]
        try await withLoop(setting, faults: SimulationFaults()) { loop in
            let listener = try await UnixListener.bind(path, on: loop)
            #expect("\(listener)" == "UnixListener(unix:\(path))")
            async let serving: Void = listener.serve(Self.echo)
            for _ in 0..<10 {
                let client = try await UnixStream.connect(path, on: loop)
                try await client.write("hello")
                #expect(try await client.read() == Array("hello".utf8))
                client.close()
            }
            let report = try await listener.shutdown(drain: .seconds(60), grace: .seconds(1))
            try await serving
            #expect(report.aborted == 0)
            #expect(listener.statistics.accepted == 10 && listener.statistics.active == 0)
            #expect(!Scratch.exists(path))
        }
    }

    @Test("the file has the permissions that were asked for", arguments: [0o600, 0o660, 0o666, 0o777] as [mode_t])
    func permissions(mode: mode_t) async throws {
        let folder = try Scratch()
        try await withLoop(Setting(driver: .epoll, caller: .onLoop)) { loop in
            let path = folder["a.sock"]
            let options = UnixOptions(permissions: FilePermissions(rawValue: mode))
            let listener = try await UnixListener.bind(path, options: options, on: loop)
            #expect(folder.mode("a.sock") == mode)
            listener.close()
        }
    }

    /// bind(2) alone would make it 0777 less the umask.
    @Test("the file never has wider permissions, not even between bind and chmod")
    func noWindow() async throws {
        let folder = try Scratch()
        let path = folder["a.sock"]
        let address = try SocketAddress.unix(path: path)
        let socket = try Socket.openUnix(for: address, CInt(SOCK_STREAM.rawValue), "bind")
        #expect(SocketPlace.bind(socket.number, address, FilePermissions(rawValue: 0o600)) == nil)
        let mode = try #require(folder.mode("a.sock"))
        #expect(mode & ~0o600 == 0, "made with \(String(mode, radix: 8))")
    }

    /// chmod(2) by path would follow the link, and open a file of somebody else's choice to everybody.
    @Test("a link that takes the file's place between bind and chmod is not followed")
    func linkInBetween() throws {
        let folder = try Scratch()
        let path = folder["a.sock"]
        let precious = try folder.file("precious", mode: 0o600)
        let address = try SocketAddress.unix(path: path)
        let socket = try Socket.openUnix(for: address, CInt(SOCK_STREAM.rawValue), "bind")
        #expect(SocketPlace.bind(socket.number, address, FilePermissions(rawValue: 0o666)) == nil)
        #expect(unsafe unlink(path) == 0 && symlink(precious, path) == 0)
        let options = UnixOptions(permissions: FilePermissions(rawValue: 0o666))
        let number = socket.number
        #expect(throws: IOError.self) {
            try SocketPlace.settle(Array(path.utf8), number, .stream, address, options)
        }
        #expect(folder.mode("precious") == 0o600)
        #expect(Scratch.exists(path), "the link is not ours to remove")
        withExtendedLifetime(socket.number) {}
    }

    @Test("a file that nobody listens on any more is replaced", arguments: Setting.all)
    func stale(setting: Setting) async throws {
        let folder = try Scratch()
        let path = folder["a.sock"]
        try await withLoop(setting) { loop in
            // As after kill -9: the socket is closed, the file stays.
            do { _ = try Peer(boundTo: .unix(path: path)) }
            #expect(Scratch.isSocket(path))
            let refusing = UnixOptions(staleFile: .refuse)
            let refused = try await ioError { try await UnixListener.bind(path, options: refusing, on: loop) }
            #expect(refused.code == .addressInUse)
            let listener = try await UnixListener.bind(path, on: loop)
            let client = try await UnixStream.connect(path, on: loop)
            _ = try await listener.accept()
            client.close()
            listener.close()
        }
    }

    @Test("a file that somebody listens on is left alone", arguments: Setting.all)
    func alive(setting: Setting) async throws {
        let folder = try Scratch()
        let path = folder["a.sock"]
        try await withLoop(setting) { loop in
            let first = try await UnixListener.bind(path, on: loop)
            let error = try await ioError { try await UnixListener.bind(path, on: loop) }
            #expect(error.code == .addressInUse)
            #expect("\(error)" == "bind unix:\(path): another program listens there; end it, or choose another path")
            let client = try await UnixStream.connect(path, on: loop)
            _ = try await first.accept()
            client.close()
        }
    }

    @Test("files that are no sockets, and links to sockets, are left alone", arguments: Setting.all)
    func otherFiles(setting: Setting) async throws {
        let folder = try Scratch()
        try await withLoop(setting) { loop in
            let file = try folder.file("file", "precious")
            let stale = folder["stale"]
            do { _ = try Peer(boundTo: .unix(path: stale)) }
            let link = folder["link"]
            #expect(unsafe symlink(stale, link) == 0)
            for path in [file, link] {
                let error = try await ioError { try await UnixListener.bind(path, on: loop) }
                #expect(error.code == .addressInUse)
                #expect(error.detail?.hasPrefix("a file that is no socket is there") == true)
                #expect(Scratch.exists(path))
            }
            #expect(ProcessTable.text(file) == "precious")
            #expect(Scratch.exists(stale))
        }
    }

    /// A26: unlinking by name alone would take the new server's socket away.
    @Test("a file that has replaced ours survives our end", arguments: Setting.all)
    func replaced(setting: Setting) async throws {
        let folder = try Scratch()
        let path = folder["a.sock"]
        try await withLoop(setting) { loop in
            let old = try await UnixListener.bind(path, on: loop)
            #expect(unsafe unlink(path) == 0)
            let new = try await UnixListener.bind(path, on: loop)
            old.close()
            #expect(Scratch.exists(path))
            let client = try await UnixStream.connect(path, on: loop)
            _ = try await new.accept()
            client.close()
            new.close()
            #expect(!Scratch.exists(path))
        }
    }

    @Test("of many that start at the same time on a stale file, one gets it, and keeps it")
    func race() async throws {
        let folder = try Scratch()
        try await withLoop(Setting(driver: .epoll, caller: .elsewhere)) { loop in
            for round in 0..<10 {
                let path = folder["\(round).sock"]
                do { _ = try Peer(boundTo: .unix(path: path)) }
                let listeners = await withTaskGroup { group in
                    for _ in 0..<8 {
                        group.addTask { try? await UnixListener.bind(path, on: loop) }
                    }
                    var listeners: [UnixListener] = []
                    for await listener in group { if let listener { listeners.append(listener) } }
                    return listeners
                }
                #expect(listeners.count == 1)
                let client = try await UnixStream.connect(path, on: loop)
                _ = try await listeners.first?.accept()
                client.close()
                listeners.first?.close()
            }
        }
    }

    @Test("a path of 108 bytes is refused with the number", arguments: Setting.all)
    func longPath(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let path = "/tmp/" + String(repeating: "x", count: 103)
            let error = try await ioError { try await UnixListener.bind(path, on: loop) }
            #expect(error.code == .invalidArgument)
            #expect("\(error)".contains("108") && "\(error)".contains("107"))
        }
    }

    @Test("an abstract name has no file, and is free when its listener has gone", arguments: Setting.all)
    func abstractName(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let name = "asyncio test \(getpid()) \(setting.testDescription)"
            for _ in 0..<3 {
                // A child that another test starts has copies of all descriptors until its program begins.
                var bound: UnixListener?
                await until {
                    bound = try? await UnixListener.bind(to: .unix(abstract: name), on: loop)
                    return bound != nil
                }
                let listener = try #require(bound)
                let client = try await UnixStream.connect(to: listener.address, on: loop)
                _ = try await listener.accept()
                client.close()
                listener.close()
                // The loop has closed it when it has answered.
                _ = await loop.statistics
            }
            let chosen = try await UnixListener.bind(to: .unnamedUnix, on: loop)
            #expect("\(chosen.address)".hasPrefix("unix:@"))
        }
    }

    /// A12: connect(2) says EAGAIN where TCP would say EINPROGRESS.
    @Test("more clients than the queue holds all get in", arguments: Setting.all)
    func fullQueue(setting: Setting) async throws {
        let folder = try Scratch()
        let path = folder["a.sock"]
        try await withLoop(setting) { loop in
            let listener = try await UnixListener.bind(path, options: UnixOptions(backlog: 1), on: loop)
            try await withThrowingTaskGroup { group in
                for number in 0..<20 {
                    group.addTask {
                        let client = try await UnixStream.connect(path, on: loop)
                        try await client.write([UInt8(number)])
                        #expect(try await client.read() == [UInt8(number)])
                    }
                }
                group.addTask {
                    try await listener.serve { connection in
                        try await Self.echo(connection)
                        if listener.statistics.accepted == 20 { listener.shutdown(drain: .seconds(60)) }
                    }
                }
                try await group.waitForAll()
            }
        }
    }

    @Test("connections are told by number, since they have no address", arguments: Setting.all)
    func names(setting: Setting) async throws {
        struct Failure: Error {}
        let folder = try Scratch()
        let path = folder["a.sock"]
        let reports = Errors()
        try await withLoop(setting, reports: reports) { loop in
            let listener = try await UnixListener.bind(path, on: loop)
            async let serving: Void = listener.serve { _ in throw Failure() }
            for _ in 0..<2 {
                let client = try await UnixStream.connect(path, on: loop)
                #expect(try await client.read() == nil)
            }
            listener.shutdown()
            try await serving
            #expect(reports.contexts == ["connection 1 at unix:\(path)", "connection 2 at unix:\(path)"])
            #expect(listener.statistics.failed == 2)
        }
    }
}
