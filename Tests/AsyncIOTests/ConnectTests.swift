import AsyncIOKernel
import AsyncIOLoop
import AsyncIOTestSupport
import Glibc
import SystemPackage
import Testing

@testable import AsyncIO

@Suite("Connecting", .timeLimit(.minutes(30)))
struct ConnectTests {
    @Test("to a port where nobody listens is refused, with the address in the text", arguments: Setting.everywhere)
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

    @Test("by name tries the addresses in turn", arguments: Setting.everywhere)
    func names(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            // localhost is ::1 as well where there is IPv6: only one of the two answers.
            let listener = try await TCPListener.bind("127.0.0.1", 0, on: loop)
            let port = try #require(listener.address.port)
            let stream = try await TCPStream.connect("localhost", port, on: loop)
            #expect(stream.peer == listener.address)
            listener.close()
            do {
                _ = try await TCPStream.connect("localhost", 1, on: loop)
                Issue.record("somebody listens on port 1")
            } catch let error as IOError {
                #expect(error.code == .connectionRefused)
            } catch let error as ConnectError {
                #expect(error.code == .connectionRefused)
            }
        }
    }

    @Test("to a name that does not exist, or cannot, says so with the name", arguments: Setting.everywhere)
    func badNames(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let resolver = ConnectOptions(resolver: StaticResolver())
            for (name, reason) in [
                ("no-such-host.invalid", ResolutionError.Reason.noSuchName), ("", .invalidName),
                (String(repeating: "a", count: 300), .invalidName), ("a\0b", .invalidName),
            ] {
                let error = await #expect(throws: ResolutionError.self) {
                    try await TCPStream.connect(name, 80, options: resolver, on: loop)
                }
                #expect(error?.reason == reason)
                #expect(error.map { "\($0)".hasPrefix("resolve ") && "\($0)".contains(name.prefix(1)) } == true)
            }
        }
    }

    // MARK: From a local address

    @Test("from a local address, whose port the system chooses or the caller", arguments: Setting.all)
    func localAddress(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let listener = try await TCPListener.bind("127.0.0.1", 0, on: loop)
            let from = ConnectOptions(localAddress: .ipv4(127, 0, 0, 9, port: 0))
            let chosen = try await TCPStream.connect(to: listener.address, options: from, on: loop)
            let peer = try await listener.accept().peer
            #expect(peer.host == "127.0.0.9" && peer.port != 0)
            #expect(await chosen.local == peer)
            chosen.close()
            // One port again and again, although the last connection from it lingers.
            let ours = try Peer(boundTo: .ipv4(127, 0, 0, 9, port: 0)).localAddress()
            for _ in 0..<3 {
                let other = try await TCPListener.bind("127.0.0.1", 0, on: loop)
                let options = ConnectOptions(localAddress: ours)
                let stream = try await TCPStream.connect(to: other.address, options: options, on: loop)
                #expect(await stream.local == ours)
                let accepted = try await other.accept()
                #expect(accepted.peer == ours)
                stream.close()
                #expect(try await accepted.read() == nil)
                accepted.close()
                other.close()
            }
            listener.close()
        }
    }

    @Test("a port that the system chooses is not taken before the connection is made")
    func latePort() throws {
        for version in [SocketAddress.IPVersion.v4, .v6] {
            let local = SocketAddress.loopback(port: 0, version: version)
            let socket = try Socket.openTCP(for: local, "connect")
            try Socket.bind(socket.number, asCaller: local, TCPOptions())
            #expect(Socket.localAddress(socket.number)?.port == 0)
        }
    }

    @Test("from an address that is not ours, or of the other version, says so", arguments: Setting.everywhere)
    func wrongLocalAddress(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let foreign = ConnectOptions(localAddress: .ipv4(192, 0, 2, 1, port: 0))
            let error = try await ioError { try await TCPStream.connect("127.0.0.1", 1, options: foreign, on: loop) }
            #expect("\(error)" == "bind 192.0.2.1:0: Cannot assign requested address")
            let six = ConnectOptions(localAddress: .loopback(port: 0, version: .v6))
            let other = await #expect(throws: ResolutionError.self) {
                try await TCPStream.connect("127.0.0.1", 1, options: six, on: loop)
            }
            #expect(other?.reason == .noAddress)
            #expect(other.map { "\($0)".contains("[::1]:0") } == true)
        }
    }

    @Test("from the very port that is dialled does not go round for ever", arguments: Setting.all)
    func selfConnectByChoice(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let address = try Self.closedEvenPort(of: .loopback(port: 0))
            let error = try await ioError {
                try await TCPStream.connect(to: address, options: ConnectOptions(localAddress: address), on: loop)
            }
            #expect(error.code == .connectionRefused)
            #expect("\(error)".contains("reaches itself"))
        }
    }

    @Test("options of the socket hold for the connection", arguments: Setting.all)
    func socketOptions(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let listener = try await TCPListener.bind("127.0.0.1", 0, on: loop)
            let port = try #require(listener.address.port)
            for options in [TCPOptions(noDelay: true), TCPOptions(noDelay: false)] {
                for stream in [
                    try await TCPStream.connect("127.0.0.1", port, options: options, on: loop),
                    try await TCPStream.connect(to: listener.address, options: options, on: loop),
                    try await TCPStream.connect(
                        "127.0.0.1", port, options: ConnectOptions(timeout: .seconds(60), socket: options), on: loop),
                ] {
                    var (value, length) = (CInt(-1), socklen_t(MemoryLayout<CInt>.size))
                    let number = stream.handle.descriptor
                    try SystemCall.call("getsockopt") {
                        unsafe getsockopt(number, CInt(IPPROTO_TCP), TCP_NODELAY, &value, &length)
                    }
                    #expect((value != 0) == options.noDelay)
                    stream.close()
                }
            }
            listener.close()
        }
    }

    @Test("without a loop says how to get one")
    func noLoop() async {
        await #expect(throws: EventLoopError.noLoop) { try await TCPStream.connect("127.0.0.1", 1) }
        await #expect(throws: EventLoopError.noLoop) { try await TCPListener.bind("127.0.0.1", 0) }
    }

    @Test("to a unix address of a TCP stream is refused, not crashed", arguments: Setting.everywhere)
    func unixAddress(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let address = try SocketAddress.unix(path: "/nowhere/at/all")
            let error = try await ioError { try await TCPStream.connect(to: address, on: loop) }
            #expect(error.subject == "unix:/nowhere/at/all")
        }
    }
}
