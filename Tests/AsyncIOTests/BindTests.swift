import AsyncIOKernel
import AsyncIOLoop
import AsyncIOTestSupport
import CAsyncIO
import Glibc
import SystemPackage
import Testing

@testable import AsyncIO

@Suite("Listening", .timeLimit(.minutes(30)))
struct BindTests {
    @Test("on port 0 gets one from the kernel, and says which", arguments: Setting.all)
    func portZero(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let first = try await TCPListener.bind("127.0.0.1", 0, on: loop)
            let second = try await TCPListener.bind("127.0.0.1", 0, on: loop)
            #expect(first.address.port != 0 && second.address.port != 0)
            #expect(first.address != second.address)
            #expect("\(first)" == "TCPListener(\(first.address))")
            let peer = try Peer(to: first.address)
            #expect(try await first.accept().peer == peer.localAddress())
        }
    }

    @Test("on a port that is taken names the address", arguments: Setting.all)
    func addressInUse(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let first = try await TCPListener.bind("127.0.0.1", 0, on: loop)
            let port = try #require(first.address.port)
            let error = try await ioError { try await TCPListener.bind("127.0.0.1", port, on: loop) }
            #expect(error.code == .addressInUse)
            #expect("\(error)".hasPrefix("bind 127.0.0.1:\(port): Address already in use"))
            // Nothing of the failed attempt is left over, and the first one works on.
            try await expectOpenSockets(1, port: port)
            first.close()
            _ = await loop.statistics
            let again = try await TCPListener.bind("127.0.0.1", port, on: loop)
            #expect(again.address == first.address)
        }
    }

    @Test("is shared by listeners that agree to it", arguments: Setting.everywhere)
    func reusePort(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let options = TCPOptions(reusePort: true)
            let first = try await TCPListener.bind("127.0.0.1", 0, options: options, on: loop)
            let second = try await TCPListener.bind(to: first.address, options: options, on: loop)
            #expect(second.address == first.address)
        }
    }

    @Test("on an address of another machine is refused", arguments: Setting.everywhere)
    func foreignAddress(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let error = try await ioError { try await TCPListener.bind("192.0.2.1", 7_000, on: loop) }
            #expect(error.code == .addressNotAvailable)
            #expect("\(error)" == "bind 192.0.2.1:7000: Cannot assign requested address")
        }
    }

    @Test("by name, and on names that do not exist", arguments: Setting.everywhere)
    func names(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let listener = try await TCPListener.bind("localhost", 0, on: loop)
            #expect(listener.address.isLoopback)
            let error = await #expect(throws: ResolutionError.self) {
                try await TCPListener.bind("no-such-host.invalid", 0, on: loop)
            }
            #expect(error?.subject == "no-such-host.invalid")
        }
    }

    @Test("on IPv6 loopback, and connecting there", arguments: Setting.all)
    func version6(setting: Setting) async throws {
        do {
            _ = try Peer(boundTo: .loopback(port: 0, version: .v6))
        } catch {
            print("skipped: this machine has no IPv6 loopback (\(error))")
            return
        }
        try await withLoop(setting) { loop in
            let listener = try await TCPListener.bind("::1", 0, on: loop)
            let client = try await TCPStream.connect("::1", listener.address.port ?? 0, on: loop)
            let server = try await listener.accept()
            #expect(await client.local == server.peer)
            #expect(server.peer.host == "::1")
            try await client.write("six")
            #expect(try await server.read() == Array("six".utf8))
        }
    }

    @Test("options reach both sides' sockets", arguments: Setting.all)
    func options(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let keepAlive = TCPOptions.KeepAlive(idle: .seconds(33), interval: .milliseconds(7_900), count: 4)
            let options = TCPOptions(noDelay: true, keepAlive: keepAlive)
            let listener = try await TCPListener.bind("127.0.0.1", 0, options: options, on: loop)
            let client = try await TCPStream.connect(to: listener.address, options: options, on: loop)
            let server = try await listener.accept()
            let tcp = CInt(IPPROTO_TCP)
            for stream in [client, server] {
                #expect(try option(stream, tcp, TCP_NODELAY) == 1)
                #expect(try option(stream, SOL_SOCKET, SO_KEEPALIVE) == 1)
                #expect(try option(stream, tcp, TCP_KEEPIDLE) == 33)
                #expect(try option(stream, tcp, TCP_KEEPINTVL) == 7)
                #expect(try option(stream, tcp, TCP_KEEPCNT) == 4)
                let flags = fcntl(stream.handle.descriptor, F_GETFL)
                #expect(flags & O_NONBLOCK != 0)
                #expect(fcntl(stream.handle.descriptor, F_GETFD) & FD_CLOEXEC != 0)
            }
            let plain = TCPOptions(noDelay: false)
            let other = try await TCPListener.bind("127.0.0.1", 0, options: plain, on: loop)
            let slow = try await TCPStream.connect(to: other.address, options: plain, on: loop)
            let accepted = try await other.accept()
            for stream in [slow, accepted] {
                #expect(try option(stream, tcp, TCP_NODELAY) == 0)
                #expect(try option(stream, SOL_SOCKET, SO_KEEPALIVE) == 0)
            }
        }
    }

    private func option(_ stream: TCPStream, _ level: CInt, _ name: CInt) throws -> CInt {
        var value: CInt = -1
        var length = socklen_t(MemoryLayout<CInt>.size)
        try SystemCall.call("getsockopt") {
            unsafe getsockopt(stream.handle.descriptor, level, name, &value, &length)
        }
        return value
    }

    @Test(
        "kernel buffers have the size that was asked for, of accepted connections as well",
        arguments: Setting.all)
    func buffers(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            var options = TCPOptions()
            (options.sendBuffer, options.receiveBuffer) = (20_000, 30_000)
            let listener = try await TCPListener.bind("127.0.0.1", 0, options: options, on: loop)
            let client = try await TCPStream.connect(to: listener.address, options: options, on: loop)
            let server = try await listener.accept()
            for stream in [client, server] {
                // socket(7): the kernel doubles it.
                #expect(try Self.option(stream.handle.descriptor, SO_SNDBUF) == 40_000)
                #expect(try Self.option(stream.handle.descriptor, SO_RCVBUF) == 60_000)
            }
        }
    }

    @Test("kernel buffers of impossible sizes are the least or the most that the system has")
    func extremeBuffers() async throws {
        try await withLoop(Setting(driver: .epoll, caller: .onLoop)) { loop in
            for size in [Int.min, 0, 1, Int.max] {
                var options = TCPOptions()
                (options.sendBuffer, options.receiveBuffer) = (size, size)
                let listener = try await TCPListener.bind("127.0.0.1", 0, options: options, on: loop)
                #expect(try Self.option(listener.handle.descriptor, SO_SNDBUF) > 0)
                #expect(try Self.option(listener.handle.descriptor, SO_RCVBUF) > 0)
            }
        }
    }

    private static func option(_ descriptor: CInt, _ option: CInt) throws -> CInt {
        var value: CInt = 0
        var length = socklen_t(MemoryLayout<CInt>.size)
        try SystemCall.call("getsockopt") { unsafe getsockopt(descriptor, SOL_SOCKET, option, &value, &length) }
        return value
    }
}
