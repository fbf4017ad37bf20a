import AsyncIOKernel
import AsyncIOLoop
import AsyncIOTestSupport
import CAsyncIO
import Glibc
import SystemPackage
import Testing

@testable import AsyncIO

@Suite("Options of TCP sockets", .timeLimit(.minutes(30)))
struct TCPOptionsTests {
    private static func value(_ handle: Handle, _ level: CInt, _ name: CInt) -> CInt {
        SocketOption.number(SystemCall.option(handle.descriptor, level, name, 4).1)
    }

    private static let tcp = CInt(IPPROTO_TCP)

    @Test("a live connection's can be changed", arguments: Setting.everywhere)
    func live(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let connection = try await Connection(on: loop)
            let stream = connection.client
            try await stream.set(noDelay: false)
            #expect(Self.value(stream.handle, Self.tcp, TCP_NODELAY) == 0)
            try await stream.set(noDelay: true)
            #expect(Self.value(stream.handle, Self.tcp, TCP_NODELAY) == 1)
            try await stream.set(keepAlive: TCPOptions.KeepAlive(idle: .seconds(9), interval: .seconds(3), count: 2))
            #expect(Self.value(stream.handle, SOL_SOCKET, SO_KEEPALIVE) == 1)
            #expect(Self.value(stream.handle, Self.tcp, TCP_KEEPIDLE) == 9)
            #expect(Self.value(stream.handle, Self.tcp, TCP_KEEPINTVL) == 3)
            #expect(Self.value(stream.handle, Self.tcp, TCP_KEEPCNT) == 2)
            try await stream.set(keepAlive: nil)
            #expect(Self.value(stream.handle, SOL_SOCKET, SO_KEEPALIVE) == 0)
            try await stream.set(userTimeout: .milliseconds(1500))
            #expect(Self.value(stream.handle, Self.tcp, TCP_USER_TIMEOUT) == 1500)
            try await stream.set(userTimeout: nil)
            #expect(Self.value(stream.handle, Self.tcp, TCP_USER_TIMEOUT) == 0)
            stream.close()
            #expect(try await ioError { try await stream.set(noDelay: true) }.code == .badFileDescriptor)
        }
    }

    @Test("durations that make no sense are the least or the most that the system has")
    func extremes() {
        let long = Duration(secondsComponent: .max, attosecondsComponent: 0)
        #expect(SocketOption.userTimeout(.zero).value == 1)
        #expect(SocketOption.userTimeout(.seconds(-5)).value == 1)
        #expect(SocketOption.userTimeout(long).value == .max)
        #expect(SocketOption.seconds(long) == .max && SocketOption.seconds(.zero) == 1)
        #expect(SocketOption.number([]) == -1)
    }

    @Test("a listener's reach its connections", arguments: Setting.all)
    func inherited(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let options = TCPOptions(userTimeout: .seconds(7), deferAccept: .seconds(3))
            let listener = try await TCPListener.bind("127.0.0.1", 0, options: options, on: loop)
            #expect(Self.value(listener.handle, Self.tcp, TCP_DEFER_ACCEPT) >= 3)
            let peer = try Peer(to: listener.address)
            try peer.send([1])
            let stream = try await listener.accept()
            #expect(Self.value(stream.handle, Self.tcp, TCP_USER_TIMEOUT) == 7000)
            #expect(try await stream.read() == [1])
        }
    }

    @Test("an IPv6 listener takes IPv4 connections or not, as it is told", arguments: Setting.all)
    func dualStack(setting: Setting) async throws {
        guard (try? Peer(boundTo: .loopback(port: 0, version: .v6))) != nil else { return }
        try await withLoop(setting) { loop in
            for (dualStack, isReached) in [(TCPOptions.DualStack.both, true), (.onlyIPv6, false)] {
                let options = TCPOptions(dualStack: dualStack)
                let any = SocketAddress.any(port: 0, version: .v6)
                let listener = try await TCPListener.bind(to: any, options: options, on: loop)
                let port = try #require(listener.address.port)
                #expect(((try? Peer(to: .loopback(port: port))) != nil) == isReached)
                let six = try Peer(to: .loopback(port: port, version: .v6))
                let stream = try await listener.accept()
                #expect(stream.peer.host == (isReached ? "::ffff:127.0.0.1" : "::1"))
                withExtendedLifetime(six) {}
            }
        }
    }

    @Test("the kernel's numbers of a connection add up", arguments: Setting.all)
    func statistics(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let connection = try await Connection(on: loop)
            let bytes = Bytes.pattern(100_000)
            async let sending: Void = connection.client.write(bytes)
            #expect(try await connection.server.readExactly(bytes.count) == bytes)
            try await sending
            let server = try await connection.server.statistics
            #expect(server.bytesReceived == 100_000)
            await until { (try? await connection.client.statistics.bytesAcknowledged) ?? 0 >= 100_000 }
            let client = try await connection.client.statistics
            #expect(client.unsentBytes == 0 && client.congestionWindow > 0 && client.segmentSize > 500)
            #expect(client.roundTripTime > .zero && client.roundTripTime < .seconds(10))
            connection.client.close()
            #expect(try await ioError { try await connection.client.statistics }.code == .badFileDescriptor)
        }
    }

    @Test("an older kernel's shorter numbers are read as far as they go")
    func shortInformation() {
        for length in 0..<256 {
            let statistics = TCPStatistics(kernel: [UInt8](repeating: 1, count: length))
            #expect((statistics.minimumRoundTripTime == .zero) == (length < 152))
        }
    }
}
