import AsyncIO
import AsyncIOKernel
import AsyncIOLoop
import AsyncIOTestSupport
import Glibc
import SystemPackage
import Testing

@Suite("Serving", .timeLimit(.minutes(30)))
struct ServeTests {
    private struct HandlerFailure: Error, CustomStringConvertible {
        var description: String { "the handler has failed" }
    }

    private static let echo: @Sendable (TCPStream) async throws -> Void = { connection in
        while let bytes = try await connection.read() { try await connection.write(bytes) }
    }

    /// One question, one answer.
    private static func expectEcho(
        _ peer: Peer, at location: SourceLocation = #_sourceLocation
    ) async throws {
        let answer = try await onThread {
            try peer.send([1, 2, 3])
            return try peer.receive()
        }
        #expect(answer == [1, 2, 3], sourceLocation: location)
    }

    @Test("runs each handler on the loop, wherever serve was called", arguments: Setting.all)
    func onTheLoop(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let listener = try await TCPListener.bind("127.0.0.1", 0, on: loop)
            async let serving: Void = listener.serve { connection in
                try await connection.write(connection.loop.isCurrent ? "loop" : "stranger")
                while try await connection.read() != nil {}
                try await connection.write(connection.loop.isCurrent ? "loop" : "stranger")
            }
            for _ in 0..<20 {
                let peer = try Peer(to: listener.address)
                try peer.finishSending()
                #expect(try await onThread { try peer.receiveAll() } == Array("looploop".utf8))
            }
            listener.shutdown()
            try await serving
        }
    }

    /// C20: an error belongs to one connection.
    @Test("an error of a handler closes its connection alone, and is reported with the peer", arguments: Setting.all)
    func handlerError(setting: Setting) async throws {
        let reports = Errors()
        try await withLoop(setting, reports: reports) { loop in
            let listener = try await TCPListener.bind("127.0.0.1", 0, on: loop)
            async let serving: Void = listener.serve { connection in
                while let bytes = try await connection.read() {
                    if bytes == [0] { throw HandlerFailure() }
                    try await connection.write(bytes)
                }
            }
            let (good, bad) = (try Peer(to: listener.address), try Peer(to: listener.address))
            try await Self.expectEcho(good)
            try await Self.expectEcho(bad)
            try bad.send([0])
            #expect(try await onThread { try bad.receive() }.isEmpty, "closed")
            try await Self.expectEcho(good)
            try await Self.expectEcho(try Peer(to: listener.address))
            listener.shutdown()
            try await serving
            #expect(reports.lines == ["asyncio: connection \(try bad.localAddress()): the handler has failed"])
        }
    }

    @Test("a reset is an error of one connection, told with its address", arguments: Setting.all)
    func reset(setting: Setting) async throws {
        let reports = Errors()
        try await withLoop(setting, reports: reports) { loop in
            let listener = try await TCPListener.bind("127.0.0.1", 0, on: loop)
            async let serving: Void = listener.serve(Self.echo)
            let good = try Peer(to: listener.address)
            var line = ""
            do {
                let bad = try Peer(to: listener.address)
                try await Self.expectEcho(bad)
                try bad.resetOnClose()
                let address = try bad.localAddress()
                line = "asyncio: connection \(address): read \(address): Connection reset by peer"
            }
            await until { !reports.lines.isEmpty }
            #expect(reports.lines == [line])
            try await Self.expectEcho(good)
            listener.shutdown()
            try await serving
        }
    }

    /// A18: writing to a peer that has gone is an error, and SIGPIPE never ends the process.
    @Test("writing to a peer that has gone is an error, not a signal", arguments: Setting.all)
    func brokenPipe(setting: Setting) async throws {
        signal(SIGPIPE, SIG_DFL)
        try await withLoop(setting) { loop in
            for resets in [true, false] {
                let listener = try await TCPListener.bind("127.0.0.1", 0, on: loop)
                let stream: TCPStream
                do {
                    let peer = try Peer(to: listener.address)
                    stream = try await listener.accept()
                    if resets { try peer.resetOnClose() }
                }
                let error = try await ioError {
                    while true { try await stream.write([UInt8](repeating: 0, count: 100_000)) }
                }
                #expect([.brokenPipe, .connectionReset].contains(error.code))
                // After the first news every write says EPIPE.
                #expect(try await ioError { try await stream.write("x") }.code == .brokenPipe)
            }
        }
    }

    @Test("a handler that returns, or is cancelled, closes quietly", arguments: Setting.all)
    func quietEnds(setting: Setting) async throws {
        let reports = Errors()
        try await withLoop(setting, reports: reports) { loop in
            let listener = try await TCPListener.bind("127.0.0.1", 0, on: loop)
            async let serving: Void = listener.serve { connection in
                if try await connection.read() == [1] { throw CancellationError() }
            }
            for byte in [1, 2] as [UInt8] {
                let peer = try Peer(to: listener.address)
                try peer.send([byte])
                #expect(try await onThread { try peer.receive() }.isEmpty)
            }
            listener.shutdown()
            try await serving
            #expect(reports.lines.isEmpty)
        }
    }

    @Test("twice on one listener is refused, and the first goes on", arguments: Setting.all)
    func twice(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let listener = try await TCPListener.bind("127.0.0.1", 0, on: loop)
            async let serving: Void = listener.serve(Self.echo)
            try await Self.expectEcho(try Peer(to: listener.address))
            let error = try await ioError { try await listener.serve(Self.echo) }
            #expect(error.code == .resourceBusy)
            #expect("\(error)".hasPrefix("serve \(listener.address): this listener is serving already"))
            try await Self.expectEcho(try Peer(to: listener.address))
            listener.shutdown()
            try await serving
        }
    }

    @Test("closing the listener ends it with an error that says so", arguments: Setting.all)
    func closed(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let listener = try await TCPListener.bind("127.0.0.1", 0, on: loop)
            async let serving = ioError { try await listener.serve(Self.echo) }
            try await Self.expectEcho(try Peer(to: listener.address))
            listener.close()
            #expect(try await serving.code == .canceled)
            let second = try await TCPListener.bind("127.0.0.1", 0, on: loop)
            second.close()
            #expect(try await ioError { try await second.serve(Self.echo) }.code == .badFileDescriptor)
        }
    }

    @Test("connections that wait in the kernel's queue are served in order", arguments: Setting.all)
    func order(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let listener = try await TCPListener.bind("127.0.0.1", 0, on: loop)
            let peers = try (0..<100).map { _ in try Peer(to: listener.address) }
            let next = Counter()
            async let serving: Void = listener.serve { connection in
                let number = next.value
                next.add()
                try await connection.write([UInt8(truncatingIfNeeded: number)])
            }
            for (number, peer) in peers.enumerated() {
                #expect(try await onThread { try peer.receive() } == [UInt8(truncatingIfNeeded: number)])
            }
            listener.shutdown()
            try await serving
        }
    }

    /// C19, and a look at descriptors that leak one by one. Each connection resets, so that no port lingers.
    @Test("10,000 connections leave nothing behind", arguments: Setting.all)
    func churn(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let listener = try await TCPListener.bind("127.0.0.1", 0, on: loop)
            let address = listener.address
            let before = await loop.statistics
            let served = Counter()
            async let serving: Void = listener.serve { connection in
                while let bytes = try? await connection.read() { try await connection.write(bytes) }
                served.add()
            }
            try await onThread {
                for _ in 0..<10_000 {
                    let peer = try Peer(to: address)
                    try peer.resetOnClose()
                    try peer.send([4])
                    guard try peer.receive() == [4] else { throw HandlerFailure() }
                }
            }
            await until { served.value == 10_000 }
            try await expectOpenSockets(1, port: address.port)
            listener.shutdown()
            try await serving
            let after = await loop.statistics
            #expect(after.waitingOperations == before.waitingOperations)
            #expect(after.pendingTimers == before.pendingTimers)
            #expect(after.backgroundTasks == before.backgroundTasks)
            try await expectOpenSockets(0, port: address.port)
        }
    }
}
