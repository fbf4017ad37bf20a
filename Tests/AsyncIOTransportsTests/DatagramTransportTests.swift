import AsyncIO
import AsyncIOKernel
import AsyncIOLoop
import AsyncIOTestSupport
import AsyncIOTransports
import CAsyncIO
import Glibc
import SystemPackage
import Testing

/// A datagram protocol that remembers what it was called with.
actor Postman: DatagramProtocol {
    nonisolated let loop: EventLoop
    nonisolated let isLost = Gate()
    nonisolated let memory = Condition(Memory())
    private let script: Script
    private var transport: DatagramTransport?
    private var depth = 0

    struct Memory {
        var calls: [String] = []
        var letters: [Datagram] = []
        var faults: [String] = []
    }

    struct Script: Sendable {
        var made: @Sendable (DatagramTransport) throws -> Void = { _ in }
        var received: @Sendable (DatagramTransport, [UInt8], SocketAddress) throws -> Void = { _, _, _ in }
        var error: @Sendable (DatagramTransport, IOError) throws -> Void = { _, _ in }

        static let echo = Script(received: { $0.send($1, to: $2) })
    }

    init(loop: EventLoop, _ script: Script = Script()) {
        self.loop = loop
        self.script = script
    }

    /// All but the datagrams.
    nonisolated var calls: [String] { memory.withLock { $0.calls } }
    nonisolated var letters: [[UInt8]] { memory.withLock { $0.letters.map(\.bytes) } }
    nonisolated var senders: [SocketAddress] { memory.withLock { $0.letters.map(\.peer) } }
    nonisolated var faults: [String] { memory.withLock { $0.faults } }

    func connectionMade(_ transport: DatagramTransport) throws {
        self.transport = transport
        note("made")
        try nested { try script.made(transport) }
    }

    func datagramReceived(_ bytes: [UInt8], from peer: SocketAddress) throws {
        memory.withLock { $0.letters.append(Datagram(bytes, to: peer)) }
        check("datagram")
        guard let transport else { return }
        try nested { try script.received(transport, bytes, peer) }
    }

    func errorReceived(_ error: IOError) throws {
        note("error \(error.code)")
        guard let transport else { return }
        try nested { try script.error(transport, error) }
    }

    func pauseWriting() { note("pause") }
    func resumeWriting() { note("resume") }

    func connectionLost(_ error: (any Error)?) {
        note("lost \(error.map { "\($0)" } ?? "nil")")
        transport = nil
        isLost.open()
    }

    private func note(_ call: String) {
        memory.withLock { $0.calls.append(call) }
        check(call)
    }

    private func check(_ call: String) {
        let isInside = depth > 0 && call != "pause" && call != "resume"
        guard !loop.isCurrent || isInside else { return }
        memory.withLock { $0.faults.append(isInside ? "\(call) inside another call" : "\(call) on another thread") }
    }

    private func nested(_ body: () throws -> Void) rethrows {
        depth += 1
        defer { depth -= 1 }
        try body()
    }
}

extension Postman: CustomReflectable {
    nonisolated var customMirror: Mirror { Mirror(self, children: []) }
}

@Suite("Datagram transports")
struct DatagramTransportTests {
    private static let here = SocketAddress.loopback(port: 0)

    @Test("datagrams come whole, with their sender, also empty ones", arguments: Setting.everywhere)
    func echo(_ setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let (server, echo) = try await loop.createDatagramEndpoint(local: Self.here) { Postman(loop: $0, .echo) }
            let (client, postman) = try await loop.createDatagramEndpoint(local: Self.here) { Postman(loop: $0) }
            #expect(client.peer == nil)
            for bytes in [[1, 2, 3], [], [UInt8](repeating: 9, count: 60_000)] { client.send(bytes, to: server.local) }
            await until { postman.letters.count == 3 }
            #expect(postman.letters.map(\.count) == [3, 0, 60_000])
            #expect(postman.senders == [server.local, server.local, server.local])
            #expect(echo.senders == [client.local, client.local, client.local])
            client.close()
            server.abort()
            await postman.isLost.pass()
            await echo.isLost.pass()
            #expect(postman.calls == ["made", "lost nil"])
            #expect(echo.calls == ["made", "lost nil"])
            #expect(postman.faults + echo.faults == [])
            await until { client.currentProtocol == nil }
        }
    }

    @Test("with a remote address, it sends there by itself, and hears nobody else", arguments: Setting.everywhere)
    func connected(_ setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let (server, _) = try await loop.createDatagramEndpoint(local: Self.here) { Postman(loop: $0, .echo) }
            let (stranger, _) = try await loop.createDatagramEndpoint(local: Self.here) { Postman(loop: $0) }
            let (client, postman) = try await loop.createDatagramEndpoint(remote: server.local) { Postman(loop: $0) }
            #expect(client.peer == server.local)
            stranger.send("psst", to: client.local)
            client.send("hello")
            await until { postman.letters == [Array("hello".utf8)] }
            for transport in [server, stranger, client] { transport.close() }
            await postman.isLost.pass()
        }
    }

    @Test("that nobody is there is told, and the transport goes on", arguments: Setting.everywhere)
    func refused(_ setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let (place, former) = try await loop.createDatagramEndpoint(local: Self.here) { Postman(loop: $0) }
            let address = place.local
            place.close()
            await former.isLost.pass()
            let (client, postman) = try await loop.createDatagramEndpoint(remote: address) { Postman(loop: $0) }
            client.send([1])
            await until { postman.calls.contains("error \(Errno.connectionRefused)") }
            let (server, _) = try await loop.createDatagramEndpoint(local: address) { Postman(loop: $0, .echo) }
            await until {
                client.send([2])
                return postman.letters.contains([2])
            }
            client.close()
            server.close()
            await postman.isLost.pass()
            #expect(postman.calls.last == "lost nil")
            #expect(postman.faults == [])
        }
    }

    @Test("what cannot be sent is told later, not inside the send, and harms nothing", arguments: Setting.everywhere)
    func unsendable(_ setting: Setting) async throws {
        try await withLoop(setting) { loop in
            // Each answer fails as well: no end, but no recursion either.
            let rounds = Counter()
            let script = Postman.Script(error: { transport, _ in
                if rounds.add() < 1_000 { transport.send([1]) }
            })
            let (transport, postman) = try await loop.createDatagramEndpoint(local: Self.here) {
                Postman(loop: $0, script)
            }
            transport.send([1])
            await until { rounds.value == 1_000 }
            #expect(Set(postman.calls.dropFirst()) == ["error \(Errno(rawValue: EDESTADDRREQ))"])
            transport.send([UInt8](repeating: 0, count: 70_000), to: transport.local)
            await until { postman.calls.last == "error \(Errno.messageTooLong)" }
            transport.send([7], to: transport.local)
            await until { postman.letters == [[7]] }
            #expect(postman.faults == [])
            transport.close()
            await postman.isLost.pass()
        }
    }

    @Test("what a callback throws is reported, and the transport goes on", arguments: Setting.everywhere)
    func throwing(_ setting: Setting) async throws {
        let reports = Errors()
        try await withLoop(setting, reports: reports) { loop in
            let script = Postman.Script(received: { transport, bytes, peer in
                if bytes == [0] { throw Refusal() }
                transport.send(bytes, to: peer)
            })
            let (server, _) = try await loop.createDatagramEndpoint(local: Self.here) { Postman(loop: $0, script) }
            let (client, postman) = try await loop.createDatagramEndpoint(remote: server.local) { Postman(loop: $0) }
            client.send([0])
            client.send([1])
            await until { postman.letters == [[1]] }
            #expect(!server.isClosing)
            client.close()
            server.close()
            await postman.isLost.pass()
        }
        #expect(reports.all.compactMap { $0.error as? Refusal } == [Refusal()])
    }

    @Test("a connectionMade that throws ends the transport", arguments: Setting.everywhere)
    func throwingMade(_ setting: Setting) async throws {
        let reports = Errors()
        try await withLoop(setting, reports: reports) { loop in
            let script = Postman.Script(made: { _ in throw Refusal() })
            let (transport, postman) = try await loop.createDatagramEndpoint { Postman(loop: $0, script) }
            await postman.isLost.pass()
            #expect(postman.calls == ["made", "lost refused"])
            #expect(transport.isClosing)
        }
        #expect(reports.all.compactMap { $0.error as? Refusal } == [Refusal()])
    }

    /// A transport whose peer is a Unix socket that takes a few datagrams, and then no more until they are read.
    private static func jammed(
        on loop: EventLoop, limits: WriteBufferLimits,
        _ body: (UnixDatagramSocket, DatagramTransport, Postman) async throws -> Void
    ) async throws {
        let path = "/tmp/asyncio-postman-\(getpid())-\(UInt64.random(in: 0 ... .max))"
        let peer = try await UnixDatagramSocket.bind(path, on: loop)
        let (transport, postman) = try await loop.createDatagramEndpoint(remote: .unix(path: path), limits: limits) {
            Postman(loop: $0)
        }
        try await body(peer, transport, postman)
        await postman.isLost.pass()
        #expect(postman.faults == [])
        peer.close()
    }

    @Test("a slow receiver pauses the protocol; all arrives, in order", arguments: Setting.all)
    func slow(_ setting: Setting) async throws {
        try await withLoop(setting) { loop in
            try await Self.jammed(on: loop, limits: WriteBufferLimits(high: 10_000)) { peer, transport, postman in
                let count = 2_000
                for number in 0..<count { transport.send("\(number)") }
                await until { postman.calls == ["made", "pause"] }
                #expect(transport.writeBufferSize > 10_000)
                transport.close()
                for number in 0..<count {
                    let datagram = try await peer.receive()
                    #expect(String(decoding: datagram.bytes, as: UTF8.self) == "\(number)")
                }
                await postman.isLost.pass()
                #expect(postman.calls == ["made", "pause", "resume", "lost nil"])
                #expect(transport.writeBufferSize == 0)
            }
        }
    }

    @Test("beyond the hard limit datagrams are dropped, and the protocol told", arguments: Setting.everywhere)
    func hardLimit(_ setting: Setting) async throws {
        try await withLoop(setting) { loop in
            try await Self.jammed(on: loop, limits: WriteBufferLimits(high: 1_000, hard: 10_000)) {
                _, transport, postman in
                for _ in 0..<5_000 { transport.send([]) }
                await until { postman.calls.contains("error \(Errno.noBufferSpace)") }
                await until { transport.writeBufferSize <= 10_000 + DatagramTransportTests.overhead }
                #expect(!transport.isClosing)
                transport.abort()
                await postman.isLost.pass()
                #expect(postman.calls.last == "lost nil")
                #expect(transport.writeBufferSize == 0)
            }
        }
    }

    @Test("of many dropped datagrams the protocol is told once, with their number", arguments: Setting.all)
    func manyDropped(_ setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let errors = Log<IOError>()
            let postman = Postman(loop: loop, Postman.Script(error: { errors.add($1) }))
            let socket = try await UDPSocket.bind(to: Self.here, on: loop)
            let limits = try WriteBufferLimits(high: 10, hard: 1_000)
            let transport = try await loop.attach(socket, to: postman, limits: limits)
            // Another thread sends while the loop is busy: 16 datagrams of 64 bytes are more than the limit.
            let (isBlocked, release) = (Gate(), Gate())
            let work = loop.submit {
                isBlocked.open()
                release.block()
            }
            try await onThread {
                isBlocked.block()
                for _ in 0..<10_016 { transport.send([], to: transport.local) }
                #expect(transport.writeBufferSize == 16 * 64, "what is dropped is not kept")
                release.open()
            }
            try await work.value
            await until { postman.letters.count == 16 && errors.count == 1 }
            #expect(errors.all.first?.code == .noBufferSpace)
            #expect(errors.all.first?.detail?.contains("dropped 10000 datagrams") == true, "\(errors.all)")
            transport.send([1], to: transport.local)
            await until { postman.letters.count == 17 }
            transport.close()
            await postman.isLost.pass()
            #expect(errors.count == 1)
            #expect(postman.faults == [])
        }
    }

    @Test("long Unix datagrams come whole, or are told to be too long; none is cut", arguments: Setting.everywhere)
    func longUnix(_ setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let errors = Log<IOError>()
            let path = "/tmp/asyncio-postman-\(getpid())-\(UInt64.random(in: 0 ... .max))"
            let (transport, postman) = try await loop.createDatagramEndpoint(local: .unix(path: path)) {
                Postman(loop: $0, Postman.Script(error: { errors.add($1) }))
            }
            let sender = try await UnixDatagramSocket.connect(to: .unix(path: path), on: loop)
            try await sender.send(Bytes.pattern(150_000))
            await until { !postman.letters.isEmpty }
            #expect(postman.letters == [Bytes.pattern(150_000)])
            // For one of more than 256 KiB the sender needs a buffer that not every system grants.
            if Self.sendLong(300_000, to: transport.local) {
                await until { errors.count == 1 }
                #expect(errors.all.first?.code == .messageTooLong)
                #expect(errors.all.first?.detail?.contains("300000 bytes") == true)
            }
            try await sender.send([7])
            await until { postman.letters.count == 2 }
            #expect(postman.letters.last == [7])
            sender.close()
            transport.close()
            await postman.isLost.pass()
        }
    }

    /// Sends one Unix datagram from a socket with a large buffer. False if the system grants none.
    private static func sendLong(_ count: Int, to address: SocketAddress) -> Bool {
        let descriptor = socket(AF_UNIX, CInt(SOCK_DGRAM.rawValue), 0)
        defer { close(descriptor) }
        var size = CInt(1 << 20)
        _ = unsafe setsockopt(descriptor, SOL_SOCKET, SO_SNDBUF, &size, 4)
        let bytes = Bytes.pattern(count)
        return unsafe address.withSockaddr { pointer, length in
            unsafe sendto(descriptor, bytes, bytes.count, 0, pointer, length) == count
        }
    }

    /// What the buffer counts for a datagram beside its bytes.
    private static let overhead = 64

    /// Called elsewhere, the loop may always be through with the close before the first send arrives.
    @Test(
        "a send after close is dropped, and reported once, also when the protocol knows of the close",
        arguments: Setting.everywhere, [true, false])
    func afterClose(_ setting: Setting, isKnown: Bool) async throws {
        let reports = Errors()
        try await withLoop(setting, reports: reports) { loop in
            let (transport, postman) = try await loop.createDatagramEndpoint(local: Self.here) { Postman(loop: $0) }
            if isKnown { transport.abort() } else { transport.close() }
            if isKnown { await postman.isLost.pass() }
            transport.send([1], to: transport.local)
            transport.send([2], to: transport.local)
            await postman.isLost.pass()
            transport.send([3], to: transport.local)
            #expect(postman.calls == ["made", "lost nil"])
            // From elsewhere it is on its way: a loop that ends would drop it.
            await until { !reports.all.isEmpty }
        }
        #expect(reports.all.compactMap { ($0.error as? IOError)?.code } == [.badFileDescriptor])
    }

    @Test("at the loop's end transports are closed, and their protocols told", arguments: Setting.everywhere)
    func loopEnds(_ setting: Setting) async throws {
        let reports = Errors()
        let postmen = Log<Postman>()
        try await withLoop(setting, reports: reports) { loop in
            postmen.add(try await loop.createDatagramEndpoint(local: Self.here) { Postman(loop: $0) }.protocol)
        }
        #expect(postmen.all.map(\.calls) == [["made", "lost nil"]])
        #expect(reports.lines == [])
    }

    @Test("a socket that somebody has prepared can be attached; a protocol of another loop is refused")
    func attached() async throws {
        try await withLoop(Setting(driver: Drivers.available[0], caller: .onLoop)) { loop in
            let socket = try await UDPSocket.bind(to: Self.here, on: loop)
            let postman = Postman(loop: loop)
            let transport = try await loop.attach(socket, to: postman)
            #expect(transport.local == socket.local)
            transport.send([1], to: socket.local)
            await until { postman.letters == [[1]] }
            transport.close()
            await postman.isLost.pass()
            let thread = try LoopThread(options: .guest(name: "other"))
            let other = try await UDPSocket.bind(to: Self.here, on: loop)
            let error = try await ioError { try await loop.attach(other, to: Postman(loop: thread.loop)) }
            #expect(error.code == .invalidArgument)
            await thread.shutdown()
        }
    }
}
