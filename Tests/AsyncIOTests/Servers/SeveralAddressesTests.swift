import AsyncIOKernel
import AsyncIOLoop
import AsyncIOTestSupport
import CAsyncIO
import Glibc
import SystemPackage
import Testing

@testable import AsyncIO

@Suite("Servers on several addresses, and on sockets of others", .timeLimit(.minutes(30)))
struct SeveralAddressesTests {
    private static let hello: @Sendable (TCPStream) async throws -> Void = { try await $0.write("hello") }

    private static var hasIPv6: Bool { (try? Peer(boundTo: .loopback(port: 0, version: .v6))) != nil }

    @Test("IPv4 and IPv6 get the same port, and one handler", arguments: Setting.all)
    func bothVersions(setting: Setting) async throws {
        guard Self.hasIPv6 else { return }
        try await withLoop(setting) { loop in
            let both = [SocketAddress.loopback(port: 0), .loopback(port: 0, version: .v6)]
            let server = try await TCPServer.bind(to: both, on: loop)
            let port = try #require(server.addresses[0].port)
            #expect(port != 0)
            #expect(server.addresses == both.map { $0.with(port: port) })
            #expect("\(server)" == "StreamServer(127.0.0.1:\(port), [::1]:\(port))")
            async let serving: Void = server.serve(Self.hello)
            for address in server.addresses {
                let peer = try Peer(to: address)
                #expect(try await onThread { try peer.receiveAll() } == Array("hello".utf8))
            }
            let report = try await server.shutdown(drain: .seconds(60), grace: .seconds(1))
            try await serving
            #expect(server.statistics.accepted == 2 && report.aborted == 0)
        }
    }

    @Test("all addresses of both versions fit on one port", arguments: Setting.everywhere)
    func anyOfBoth(setting: Setting) async throws {
        guard Self.hasIPv6 else { return }
        try await withLoop(setting) { loop in
            let both = [SocketAddress.any(port: 0), .any(port: 0, version: .v6)]
            let server = try await TCPServer.bind(to: both, on: loop)
            #expect(server.addresses.count == 2)
        }
    }

    @Test("a name listens on what it stands for", arguments: Setting.everywhere)
    func name(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let server = try await TCPServer.bind("localhost", 0, on: loop)
            #expect(server.addresses.allSatisfy(\.isLoopback) && !server.addresses.isEmpty)
            #expect(Set(server.addresses.map(\.port)).count == 1)
        }
    }

    @Test(
        "an address that this machine does not have is left out, unless it is the only one",
        arguments: Setting.everywhere)
    func absent(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let foreign = SocketAddress.ipv4(192, 0, 2, 1, port: 0)
            let server = try await TCPServer.bind(to: [foreign, .loopback(port: 0)], on: loop)
            #expect(server.addresses.map(\.host) == ["127.0.0.1"])
            let error = try await ioError { try await TCPServer.bind(to: [foreign], on: loop) }
            #expect(error.code == .addressNotAvailable)
            #expect(try await ioError { try await TCPServer.bind(to: [], on: loop) }.code == .addressNotAvailable)
        }
    }

    @Test("a port that is taken at one of them is in use, and the others are given back", arguments: Setting.all)
    func taken(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let taken = try await TCPListener.bind(to: .ipv4(127, 0, 0, 2, port: 0), on: loop)
            let port = try #require(taken.address.port)
            let both = [SocketAddress.loopback(port: port), taken.address]
            let error = try await ioError { try await TCPServer.bind(to: both, on: loop) }
            #expect(error.code == .addressInUse && error.subject == "\(taken.address)")
            try await expectOpenSockets(1, port: port)
        }
    }

    @Test("when one listener fails, all end, and the error is told", arguments: Setting.all)
    func failure(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let first = try await TCPListener.bind("127.0.0.1", 0, on: loop)
            let second = try await TCPListener.bind("127.0.0.1", 0, on: loop)
            let server = TCPServer(first, second)
            async let serving = ioError { try await server.serve(Self.hello) }
            let peer = try Peer(to: second.address)
            #expect(try await onThread { try peer.receiveAll() } == Array("hello".utf8))
            first.close()
            #expect(try await serving.code == .canceled)
            try await expectOpenSockets(0, port: second.address.port)
        }
    }

    @Test("when one listener fails, all end at once, whoever is connected to it", arguments: Setting.all)
    func failureWhileConnected(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let first = try await TCPListener.bind("127.0.0.1", 0, on: loop)
            let second = try await TCPListener.bind("127.0.0.1", 0, on: loop)
            let server = TCPServer(first, second)
            async let serving = ioError {
                try await server.serve { connection in while try await connection.read() != nil {} }
            }
            let peers = try [first.address, second.address].map { try Peer(to: $0) }
            await until { server.statistics.active == 2 }
            first.close()
            #expect(try await serving.code == .canceled)
            for peer in peers { #expect(try await onThread { try peer.receiveAll() }.isEmpty) }
            try await expectOpenSockets(0, port: second.address.port)
        }
    }

    @Test("without listeners there is nothing to serve")
    func noListeners() async throws {
        let server = TCPServer([])
        try await server.serve(Self.hello)
        let report = try await server.shutdown(grace: .zero)
        #expect(server.addresses.isEmpty && "\(report)" == "nothing was served")
    }

    @Test("whoever waits for the end of a server that could not begin goes on", arguments: Setting.all)
    func unclaimed(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let listener = try await TCPListener.bind("127.0.0.1", 0, on: loop)
            try listener.core.claim(limit: nil)
            async let waiting: Void = listener.core.waitForEnd()
            await until { listener.core.life.withLock { $0.waiters.count } == 1 }
            listener.core.unclaim()
            try await waiting
            // It is as it was before.
            async let serving: Void = listener.serve(Self.hello)
            let peer = try Peer(to: listener.address)
            #expect(try await onThread { try peer.receiveAll() } == Array("hello".utf8))
            listener.shutdown()
            try await serving
        }
    }

    @Test("a listener that is served already keeps its server, and the others stay free", arguments: Setting.all)
    func twice(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let first = try await TCPListener.bind("127.0.0.1", 0, on: loop)
            let second = try await TCPListener.bind("127.0.0.1", 0, on: loop)
            async let serving: Void = second.serve(Self.hello)
            let peer = try Peer(to: second.address)
            #expect(try await onThread { try peer.receiveAll() } == Array("hello".utf8))
            #expect(try await ioError { try await TCPServer(first, second).serve(Self.hello) }.code == .resourceBusy)
            async let other: Void = first.serve(Self.hello)
            for address in [first.address, second.address] {
                let peer = try Peer(to: address)
                #expect(try await onThread { try peer.receiveAll() } == Array("hello".utf8))
            }
            first.shutdown()
            second.shutdown()
            try await serving
            try await other
        }
    }

    // MARK: Sockets of others

    @Test("a socket that somebody else has opened is served, non-blocking and close-on-exec", arguments: Setting.all)
    func adopts(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let (theirs, address) = try Peer.listening()
            let number = dup(theirs.descriptor)
            let listener = try await TCPListener(adopting: Descriptor(owning: number), on: loop)
            #expect(listener.address == address)
            #expect(fcntl(number, F_GETFD) & FD_CLOEXEC != 0 && fcntl(number, F_GETFL) & O_NONBLOCK != 0)
            async let serving: Void = listener.serve(Self.hello)
            let peer = try Peer(to: address)
            #expect(try await onThread { try peer.receiveAll() } == Array("hello".utf8))
            listener.shutdown()
            try await serving
            // Theirs still listens.
            _ = try Peer(to: address)
            withExtendedLifetime(theirs) {}
        }
    }

    @Test("what is no listening socket of the kind is refused in words, and closed", arguments: Setting.all)
    func refuses(setting: Setting) async throws {
        let folder = try Scratch()
        try await withLoop(setting) { loop in
            func refusal(_ number: CInt) async throws -> String {
                let error = try await ioError { try await TCPListener(adopting: Descriptor(owning: number), on: loop) }
                return "\(error)"
            }
            let unbound = socket(AF_INET, CInt(SOCK_STREAM.rawValue) | CInt(SOCK_CLOEXEC.rawValue), 0)
            #expect(try await refusal(unbound).contains("this socket does not listen"))
            let datagrams = socket(AF_INET, CInt(SOCK_DGRAM.rawValue) | CInt(SOCK_CLOEXEC.rawValue), 0)
            #expect(try await refusal(datagrams).contains("this is no stream socket"))
            let (reader, writer) = try SystemCall.pipe()
            #expect(try await refusal(reader).hasSuffix("no socket; a listening stream socket is needed"))
            #expect(try await refusal(1 << 20).hasSuffix("Bad file descriptor"))
            let unix = try await UnixListener.bind(folder["a.sock"], on: loop)
            #expect(try await refusal(dup(unix.handle.descriptor)).hasSuffix("adopt it as a UnixListener"))
            let (theirs, _) = try Peer.listening()
            let error = try await ioError {
                try await UnixListener(adopting: Descriptor(owning: dup(theirs.descriptor)), on: loop)
            }
            #expect("\(error)".hasSuffix("adopt it as a TCPListener"))
            close(writer)
        }
    }
}
