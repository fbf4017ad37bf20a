import AsyncIO
import AsyncIOKernel
import AsyncIOLoop
import AsyncIOTestSupport
import CAsyncIO
import Glibc
import SystemPackage
import Testing

@Suite("A datagram socket of another program's", .timeLimit(.minutes(30)))
struct AdoptedDatagramsTests {
    /// A socket as a plain program makes it: blocking, and inherited by children.
    private static func plain(_ family: CInt, _ type: __socket_type, _ protocolNumber: CInt = 0) throws -> Descriptor {
        Descriptor(owning: CInt(try SystemCall.call("socket") { socket(family, CInt(type.rawValue), protocolNumber) }))
    }

    private static func bind(_ number: CInt, _ address: SocketAddress) throws {
        try SystemCall.call("bind") { unsafe address.withSockaddr { unsafe Glibc.bind(number, $0, $1) } }
    }

    private static func connect(_ number: CInt, _ address: SocketAddress) throws {
        try SystemCall.call("connect") { unsafe address.withSockaddr { unsafe Glibc.connect(number, $0, $1) } }
    }

    @Test("goes on where it was, with what had come", arguments: Setting.all)
    func udp(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let theirs = try Self.plain(AF_INET, SOCK_DGRAM)
            let number = theirs.number
            try Self.bind(number, .loopback(port: 0))
            let client = try await UDPSocket.bind("127.0.0.1", 0, on: loop)
            var storage = sockaddr_in()
            var length = socklen_t(MemoryLayout<sockaddr_in>.size)
            unsafe withUnsafeMutablePointer(to: &storage) { pointer in
                _ = unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    unsafe getsockname(number, $0, &length)
                }
            }
            let address = SocketAddress.loopback(port: UInt16(bigEndian: storage.sin_port))
            try await client.send("early", to: address)
            let socket = try await UDPSocket(
                adopting: theirs, options: UDPOptions { $0.reportsHopLimit = true }, on: loop)
            #expect(socket.local == address && socket.peer == nil)
            #expect(fcntl(number, F_GETFD) & FD_CLOEXEC != 0 && fcntl(number, F_GETFL) & O_NONBLOCK != 0)
            let first = try await socket.receive()
            #expect(first.bytes == Array("early".utf8) && first.peer == client.local)
            try await client.send("late", to: address)
            let second = try await socket.receive()
            #expect(second.bytes == Array("late".utf8) && second.info.hopLimit == 64)
            try await socket.send("answer", to: client.local)
            #expect(try await client.receive().bytes == Array("answer".utf8))
            socket.close()
        }
    }

    @Test("knows its peer, if it is connected", arguments: Setting.all)
    func connected(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let server = try await UDPSocket.bind("127.0.0.1", 0, on: loop)
            let theirs = try Self.plain(AF_INET, SOCK_DGRAM)
            try Self.connect(theirs.number, server.local)
            let socket = try await UDPSocket(adopting: theirs, on: loop)
            #expect(socket.peer == server.local && socket.local.port != 0)
            try await socket.send([1])
            #expect(try await server.receive().peer == socket.local)
        }
    }

    @Test("may be a Unix one, whose file stays its own", arguments: Setting.all)
    func unix(setting: Setting) async throws {
        let folder = try Scratch()
        try await withLoop(setting) { loop in
            let path = folder["log"]
            let theirs = try Self.plain(AF_UNIX, SOCK_DGRAM)
            try Self.bind(theirs.number, .unix(path: path))
            let socket = try await UnixDatagramSocket(adopting: theirs, on: loop)
            let client = try await UnixDatagramSocket.connect(path, on: loop)
            try await client.send("hello")
            #expect(try await socket.receive().bytes == Array("hello".utf8))
            #expect(socket.peer == nil)
            socket.close()
            #expect(Scratch.exists(path))
            // One without a name that is connected.
            let left = try SystemCall.socketPair(CInt(SOCK_DGRAM.rawValue))
            let one = try await UnixDatagramSocket(adopting: Descriptor(owning: left.0), on: loop)
            let other = try await UnixDatagramSocket(adopting: Descriptor(owning: left.1), on: loop)
            try await one.send([7])
            #expect(try await other.receive().bytes == [7] && other.peer == .unnamedUnix)
        }
    }

    @Test("that is of another kind is refused in words, and closed", arguments: Setting.all)
    func refused(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let number = try Self.plain(AF_INET, SOCK_STREAM).release()
            let kind = try await ioError { try await UDPSocket(adopting: Descriptor(owning: number), on: loop) }
            #expect(
                "\(kind)" == "adopt descriptor \(number): this is no datagram socket, but one of type 1 (socket(2))")
            let local = try await ioError {
                try await UDPSocket(adopting: Self.plain(AF_UNIX, SOCK_DGRAM), on: loop)
            }
            #expect("\(local)".hasSuffix("this is a Unix socket; adopt it as a UnixDatagramSocket"))
            let internet = try await ioError {
                try await UnixDatagramSocket(adopting: Self.plain(AF_INET, SOCK_DGRAM), on: loop)
            }
            #expect("\(internet)".hasSuffix("this is a UDP socket; adopt it as a UDPSocket"))
            let file = try await ioError {
                try await UDPSocket(adopting: Descriptor(owning: dup(0)), on: loop)
            }
            #expect(file.code == .notSocket && "\(file)".hasSuffix("no socket; a datagram socket is needed"))
            let closed = try await ioError { try await UDPSocket(adopting: Descriptor(owning: -1), on: loop) }
            #expect(closed.code == .badFileDescriptor)
            // UDP-Lite, where the kernel has it.
            let lite = socket(AF_INET, CInt(SOCK_DGRAM.rawValue), 136)
            if lite >= 0 {
                let error = try await ioError { try await UDPSocket(adopting: Descriptor(owning: lite), on: loop) }
                #expect("\(error)".hasSuffix("this socket is not for UDP, but for protocol 136 (protocols(5))"))
            }
        }
    }
}
