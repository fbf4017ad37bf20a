import AsyncIO
import AsyncIOKernel
import AsyncIOLoop
import AsyncIOTestSupport
import SystemPackage
import Testing

@Suite("Shutting a server down", .timeLimit(.minutes(30)))
struct ShutdownTests {
    /// A server whose handlers say how they ended.
    private struct Server {
        let listener: TCPListener
        let begun = Counter()
        let finished = Counter()
        let cancelled = Counter()

        init(on loop: EventLoop) async throws { listener = try await TCPListener.bind("127.0.0.1", 0, on: loop) }

        func serve(drain: Duration = .zero) async throws {
            try await listener.serve(drain: drain) { connection in
                begun.add()
                do {
                    while let bytes = try await connection.read() { try await connection.write(bytes) }
                    finished.add()
                } catch {
                    if Task.isCancelled { cancelled.add() }
                    throw error
                }
            }
        }

        /// Clients whose handlers have begun.
        func clients(_ count: Int) async throws -> [Peer] {
            let peers = try (0..<count).map { _ in try Peer(to: listener.address) }
            await until { begun.value == count }
            return peers
        }
    }

    @Test("cancels the handlers at once, and serve returns", arguments: Setting.all)
    func atOnce(setting: Setting) async throws {
        let reports = Errors()
        try await withLoop(setting, reports: reports) { loop in
            let server = try await Server(on: loop)
            async let serving: Void = server.serve()
            let peers = try await server.clients(10)
            defer { withExtendedLifetime(peers) {} }
            server.listener.shutdown()
            server.listener.shutdown()
            try await serving
            #expect(server.cancelled.value == 10 && server.finished.value == 0)
            for peer in peers { #expect(try await onThread { try peer.receive() }.isEmpty) }
            try await expectOpenSockets(0, port: server.listener.address.port)
            #expect(throws: IOError.self) { try Peer(to: server.listener.address) }
            #expect(reports.lines.isEmpty)
            let left = await loop.statistics
            #expect(left.waitingOperations == 0 && left.pendingTimers == 0)
        }
    }

    @Test("with a drain time lets the handlers finish, and takes no one new", arguments: Setting.all)
    func drain(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let server = try await Server(on: loop)
            async let serving: Void = server.serve()
            let peers = try await server.clients(10)
            defer { withExtendedLifetime(peers) {} }
            server.listener.shutdown(drain: .seconds(3_600))
            await until {
                do { _ = try Peer(to: server.listener.address) } catch { return true }
                return false
            }
            for peer in peers {
                let answer = try await onThread {
                    try peer.send([1])
                    let answer = try peer.receive()
                    try peer.finishSending()
                    return answer
                }
                #expect(answer == [1], "still served")
            }
            try await serving
            #expect(server.finished.value == server.begun.value && server.cancelled.value == 0)
            #expect(await loop.statistics.pendingTimers == 0, "the alarm of the drain time is gone, too")
        }
    }

    @Test("cancels those that are left after the drain time", arguments: Setting.all)
    func drainTimeout(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let server = try await Server(on: loop)
            async let serving: Void = server.serve()
            let peers = try await server.clients(5)
            defer { withExtendedLifetime(peers) {} }
            try peers[0].finishSending()
            await until { server.finished.value == 1 }
            let start = loop.now
            server.listener.shutdown(drain: .milliseconds(200))
            try await serving
            let time = start.duration(to: loop.now)
            #expect(time >= .milliseconds(200) && time < .seconds(20))
            #expect(server.finished.value == 1 && server.cancelled.value == 4)
        }
    }

    @Test("a second time without drain time ends the first one's patience", arguments: Setting.all)
    func impatience(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let server = try await Server(on: loop)
            async let serving: Void = server.serve()
            let peers = try await server.clients(3)
            defer { withExtendedLifetime(peers) {} }
            server.listener.shutdown(drain: .seconds(3_600))
            server.listener.shutdown()
            try await serving
            #expect(server.cancelled.value == 3)
            withExtendedLifetime(peers) {}
        }
    }

    @Test("is what cancelling the serving task does", arguments: Setting.all, [false, true])
    func cancelServing(setting: Setting, drains: Bool) async throws {
        try await withLoop(setting) { loop in
            let server = try await Server(on: loop)
            let serving = Task.detached(executorPreference: setting.caller == .onLoop ? loop : nil) {
                try await server.serve(drain: drains ? .seconds(3_600) : .zero)
            }
            let peers = try await server.clients(4)
            defer { withExtendedLifetime(peers) {} }
            serving.cancel()
            if drains { for peer in peers { try peer.finishSending() } }
            try await serving.value
            withExtendedLifetime(peers) {}
            #expect((server.finished.value, server.cancelled.value) == (drains ? (4, 0) : (0, 4)))
            try await expectOpenSockets(0, port: server.listener.address.port)
        }
    }

    @Test("before it serves lets serve return at once", arguments: Setting.all)
    func before(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let server = try await Server(on: loop)
            server.listener.shutdown()
            try await server.serve()
            #expect(server.begun.value == 0)
            let other = try await Server(on: loop)
            let serving = Task.detached(executorPreference: setting.caller == .onLoop ? loop : nil) {
                await until { Task.isCancelled }
                try await other.serve()
            }
            serving.cancel()
            try await serving.value
            try await expectOpenSockets(0, port: other.listener.address.port)
        }
    }

    @Test("from inside a handler", arguments: Setting.all)
    func fromHandler(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let listener = try await TCPListener.bind("127.0.0.1", 0, on: loop)
            let peer = try Peer(to: listener.address)
            try await listener.serve { connection in
                listener.shutdown(drain: .seconds(60))
                try await connection.write("last words")
            }
            #expect(try await onThread { try peer.receiveAll() } == Array("last words".utf8))
        }
    }

    @Test("waits for a handler that cleans up", arguments: Setting.all)
    func cleanUp(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let listener = try await TCPListener.bind("127.0.0.1", 0, on: loop)
            let (begun, cleaned) = (Counter(), Counter())
            async let serving: Void = listener.serve { connection in
                begun.add()
                _ = try? await connection.read()
                // No operation takes long any more, but this work of the handler's does.
                for _ in 0..<100 { await Task.yield() }
                cleaned.add()
            }
            let peer = try Peer(to: listener.address)
            await until { begun.value == 1 }
            listener.shutdown()
            try await serving
            #expect(cleaned.value == 1)
            withExtendedLifetime(peer) {}
        }
    }

    @Test("and serving at the same time, from many threads, always ends", arguments: Setting.all)
    func races(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            for round in 0..<60 {
                let server = try await Server(on: loop)
                let peer = try Peer(to: server.listener.address)
                async let serving: Void = server.serve()
                if round % 2 == 0 { await Task.yield() }
                async let stopping: Void = onThread { server.listener.shutdown(drain: .milliseconds(1)) }
                try await stopping
                try await serving
                try await expectOpenSockets(0, port: server.listener.address.port)
                withExtendedLifetime(peer) {}
            }
            await until { await loop.statistics.pendingTimers == 0 }
            #expect(await loop.statistics.waitingOperations == 0)
        }
    }
}
