import AsyncIOKernel
import AsyncIOLoop
import AsyncIOTestSupport
import CAsyncIO
import Glibc
import SystemPackage
import Testing

@testable import AsyncIO

@Suite("Inherited sockets", .timeLimit(.minutes(30)))
struct SocketActivationTests {
    /// Runs the probe with sockets from descriptor 3 on, and variables; `$$` is the probe's own number.
    private static func probe(_ variables: String, _ descriptors: [CInt]) async throws -> [String] {
        try await Watchdog.onThread("probe-activation", limit: .seconds(120)) {
            let script = "\(variables) exec \"$0\""
            let program = ProbeProcess.folder + "/probe-activation"
            var process = try ProbeProcess("/bin/sh", ["-c", script, program], passing: descriptors)
            _ = process.end()
            return process.lines
        }
    }

    @Test("are served by the process that they are meant for, each under its name")
    func serves() async throws {
        let folder = try Scratch()
        let (tcp, address) = try Peer.listening()
        let path = folder["control.sock"]
        let unix = try Peer(boundTo: .unix(path: path))
        #expect(listen(unix.descriptor, 10) == 0)
        async let lines = Self.probe(
            "LISTEN_PID=$$ LISTEN_FDS=2 LISTEN_FDNAMES=web:control", [tcp.descriptor, unix.descriptor])
        // It serves one connection on each, and ends.
        for place in [address, try .unix(path: path)] {
            let peer = try Peer(to: place)
            let answer = String(decoding: try await onThread { try peer.receiveAll() }, as: UTF8.self)
            #expect(answer == "\(place)")
        }
        #expect(
            try await lines == [
                "web: TCPListener(\(address))", "control: UnixListener(unix:\(path))",
                "close-on-exec and non-blocking: true", "a second time: 0", "done",
            ])
        #expect(Scratch.exists(path), "the file is the manager's")
    }

    @Test("may be datagram sockets, with what has come already")
    func datagrams() async throws {
        let folder = try Scratch()
        let names = socket(AF_INET, CInt(SOCK_DGRAM.rawValue) | CInt(SOCK_CLOEXEC.rawValue), 0)
        let log = socket(AF_UNIX, CInt(SOCK_DGRAM.rawValue) | CInt(SOCK_CLOEXEC.rawValue), 0)
        defer { for number in [names, log] { close(number) } }
        let path = folder["log"]
        for (number, place) in [(names, SocketAddress.loopback(port: 0)), (log, try .unix(path: path))] {
            try SystemCall.call("bind") { unsafe place.withSockaddr { unsafe bind(number, $0, $1) } }
        }
        let address = try #require(Socket.localAddress(names))
        try await withLoop(Setting(driver: .epoll, caller: .onLoop)) { loop in
            let client = try await UDPSocket.connect(to: address, on: loop)
            let logger = try await UnixDatagramSocket.connect(path, on: loop)
            try await client.send([5])
            try await logger.send([6, 6])
            let lines = try await Self.probe("LISTEN_PID=$$ LISTEN_FDS=2 LISTEN_FDNAMES=names:log", [names, log])
            #expect(
                lines == [
                    "names: UDPSocket(\(address))", "log: UnixDatagramSocket(unix:\(path))",
                    "close-on-exec and non-blocking: true", "a second time: 0", "got [6, 6]", "done",
                ])
            #expect(try await client.receive().bytes == [5])
        }
        #expect(Scratch.exists(path), "the file is the manager's")
    }

    @Test("of another process are left alone", arguments: ["LISTEN_PID=1 LISTEN_FDS=1", "LISTEN_FDS=1", "X=1"])
    func ofOthers(variables: String) async throws {
        let (tcp, _) = try Peer.listening()
        #expect(try await Self.probe(variables, [tcp.descriptor]).first == "none")
    }

    @Test("that do not listen are refused in words")
    func refused() async throws {
        let plain = try Peer(boundTo: .loopback(port: 0))
        let lines = try await Self.probe("LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=web", [plain.descriptor])
        let remedy = "this socket does not listen; whoever opens it has to call listen(2)"
        #expect(lines == ["adopt inherited descriptor 3 (web): \(remedy)"])
        // Without one, the number is one of the loop's own by then.
        let missing = try await Self.probe("LISTEN_PID=$$ LISTEN_FDS=1", [])
        #expect(missing.first?.hasPrefix("adopt inherited descriptor 3 (unknown): ") == true && missing.count == 1)
    }

    @Test("are all left as they are when one of them cannot be served")
    func untouched() async throws {
        let (tcp, _) = try Peer.listening()
        let packets = socket(AF_UNIX, CInt(SOCK_SEQPACKET.rawValue) | CInt(SOCK_CLOEXEC.rawValue), 0)
        defer { close(packets) }
        let lines = try await Self.probe(
            "LISTEN_PID=$$ LISTEN_FDS=2 LISTEN_FDNAMES=web:names", [tcp.descriptor, packets])
        let remedy = "this is no stream socket, but one of type 5 (socket(2)); a listening one is needed"
        #expect(lines == ["adopt inherited descriptor 4 (names): \(remedy)"])
        // The flag is the socket's, not the descriptor's: we see what the probe has made of it.
        #expect(fcntl(tcp.descriptor, F_GETFL) & O_NONBLOCK == 0)
    }

    @Test("stay open when the loop cannot have them, and can be taken by another one")
    func refusedByLoop() async throws {
        let (tcp, address) = try Peer.listening()
        let number = dup(tcp.descriptor)
        let ended = try LoopThread(options: .guest(name: "ended"))
        ended.close()
        await #expect(throws: (any Error).self) {
            try await SocketActivation.adopt([("web", number)], TCPOptions(), on: ended.loop)
        }
        #expect(Descriptor.isOpen(number))
        try await withLoop(Setting(driver: .epoll, caller: .onLoop)) { loop in
            let listeners = try await SocketActivation.adopt([("web", number)], TCPOptions(), on: loop)
            guard case .tcp(let listener) = listeners.first?.listener else { throw Errno.badFileDescriptor }
            #expect(listener.address == address)
            async let serving: Void = listener.serve { try await $0.write("hello") }
            let peer = try Peer(to: address)
            #expect(try await onThread { try peer.receiveAll() } == Array("hello".utf8))
            listener.shutdown()
            try await serving
        }
    }

    @Test("variables that make no sense are refused with their names and values")
    func nonsense() throws {
        func names(_ process: String?, _ count: String?, _ names: String?) throws -> [String]? {
            try ListenEnvironment(process: process, count: count, descriptorNames: names).names(forProcess: 42)
        }
        #expect(try names("42", "2", "a:b") == ["a", "b"])
        #expect(try names("42", "2", nil) == ["unknown", "unknown"])
        #expect(try names("42", "2", ":") == ["", ""])
        #expect(try names("42", "0", "") == [])
        #expect(try names("41", "many", nil) == nil && names(nil, "1", nil) == nil && names("42", nil, nil) == nil)
        for (process, count, list, variable) in [
            ("x", "1", nil, "LISTEN_PID"), ("99999999999999999999", "1", nil, "LISTEN_PID"),
            ("42", "-1", nil, "LISTEN_FDS"), ("42", "many", nil, "LISTEN_FDS"),
            ("42", "99999999999999999999", nil, "LISTEN_FDS"), ("42", "70000", nil, "LISTEN_FDS"),
            ("42", "2", "a", "LISTEN_FDNAMES"), ("42", "1", "a:b", "LISTEN_FDNAMES"),
        ] as [(String, String, String?, String)] {
            let error = #expect(throws: IOError.self) { try names(process, count, list) }
            #expect(error?.code == .invalidArgument && error?.subject == variable)
        }
    }
}
