import AsyncIO
import AsyncIOKernel
import AsyncIOLoop
import AsyncIOTestSupport
import Glibc
import SystemPackage
import Testing

@Suite("Connecting", .timeLimit(.minutes(30)))
struct ConnectTests {
    @Test("to a port where nobody listens is refused, with the address in the text", arguments: Setting.all)
    func refused(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let error = try await ioError { try await TCPStream.connect("127.0.0.1", 1, on: loop) }
            #expect(error.code == .connectionRefused)
            #expect("\(error)" == "connect 127.0.0.1:1: Connection refused")
        }
    }

    /// A11: what a blocking connect(2) reports of the same address, we report.
    @Test(
        "fails with the very error of connect(2)", arguments: Setting.all,
        ["127.0.0.1:1", "255.255.255.255:80", "224.0.0.1:80", "[::1]:1", "[ff02::1]:80"])
    func sameError(setting: Setting, target: String) async throws {
        try await withLoop(setting) { loop in
            let address = try SocketAddress(parsing: target)
            let plain = await #expect(throws: IOError.self) { try await onThread { try Peer(to: address) } }
            let ours = try await ioError { try await TCPStream.connect(to: address, on: loop) }
            #expect(ours.code == plain?.code)
            #expect(ours.subject == target)
        }
    }

    @Test("to a peer that resets at once gives a connection that says so, or the error", arguments: Setting.all)
    func resetAtOnce(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let (listener, address) = try Peer.listening()
            async let accepting: Void = onThread {
                for _ in 0..<100 {
                    let peer = try listener.accept()
                    try peer.resetOnClose()
                }
            }
            for _ in 0..<100 {
                do {
                    let stream = try await TCPStream.connect(to: address, on: loop)
                    while try await stream.read() != nil {}
                    Issue.record("a reset was taken for an end")
                } catch let error as IOError {
                    #expect(error.code == .connectionReset)
                }
            }
            try await accepting
        }
    }

    /// A13: on loopback a client may get the port that it dials, and TCP lets it meet itself. 20,000 tries draw
    /// every port of one parity, and so the closed one.
    @Test("to a closed port never meets oneself", arguments: Drivers.available)
    func selfConnect(driver: DriverChoice) async throws {
        try await withLoop(Setting(driver: driver, caller: .onLoop)) { loop in
            let address = try Self.closedEvenPort(of: .loopback(port: 0))
            for _ in 0..<20_000 {
                let error = try await ioError { try await TCPStream.connect(to: address, on: loop) }
                #expect(error.code == .connectionRefused)
            }
        }
    }

    @Test("to any address means to this machine, and not to oneself either", arguments: Drivers.available)
    func selfConnectByAny(driver: DriverChoice) async throws {
        try await withLoop(Setting(driver: driver, caller: .onLoop)) { loop in
            let address = try Self.closedEvenPort(of: .any(port: 0))
            for _ in 0..<20_000 {
                let error = try await ioError { try await TCPStream.connect(to: address, on: loop) }
                #expect(error.code == .connectionRefused)
            }
        }
    }

    /// connect(2) draws even ports first, and bind(2) odd ones.
    private static func closedEvenPort(of address: SocketAddress) throws -> SocketAddress {
        while true {
            let odd = try Peer(boundTo: address).localAddress()
            let even = odd.with(port: (odd.port ?? 1) & ~1)
            if (try? Peer(boundTo: even)) != nil { return even }
        }
    }

    @Test("by name tries the addresses in turn", arguments: Setting.all)
    func names(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            // localhost is ::1 as well where there is IPv6: only one of the two answers.
            let listener = try await TCPListener.bind("127.0.0.1", 0, on: loop)
            let port = try #require(listener.address.port)
            let stream = try await TCPStream.connect("localhost", port, on: loop)
            #expect(stream.peer == listener.address)
            listener.close()
            let error = try await ioError { try await TCPStream.connect("localhost", 1, on: loop) }
            #expect(error.code == .connectionRefused)
        }
    }

    @Test("to a name that does not exist says so, with the name", arguments: Setting.all)
    func badNames(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let error = try await ioError { try await TCPStream.connect("no-such-host.invalid", 80, on: loop) }
            #expect(error.operation == "resolve" && error.subject == "no-such-host.invalid")
            #expect(error.code == .noSuchAddressOrDevice)
            for name in ["", String(repeating: "a", count: 300), "a\0b"] {
                let error = try await ioError { try await TCPStream.connect(name, 80, on: loop) }
                #expect(error.code == .invalidArgument)
                #expect("\(error)".contains("1 to 253 bytes"))
            }
        }
    }

    @Test("without a loop says how to get one")
    func noLoop() async {
        await #expect(throws: EventLoopError.noLoop) { try await TCPStream.connect("127.0.0.1", 1) }
        await #expect(throws: EventLoopError.noLoop) { try await TCPListener.bind("127.0.0.1", 0) }
    }

    @Test("to a unix address of a TCP stream is refused, not crashed", arguments: Setting.all)
    func unixAddress(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let address = try SocketAddress.unix(path: "/nowhere/at/all")
            let error = try await ioError { try await TCPStream.connect(to: address, on: loop) }
            #expect(error.subject == "unix:/nowhere/at/all")
        }
    }
}
