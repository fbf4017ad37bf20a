import AsyncIO
import AsyncIOKernel
import AsyncIOLoop
import AsyncIOTestSupport
import SystemPackage
import Testing

@Suite("The phases of a shutdown", .timeLimit(.minutes(30)))
struct ShutdownPhasesTests {
    /// What a handler does when it is cancelled.
    private enum Manners: UInt8 { case goes = 1, lingers, ignores }

    /// Handlers whose manners the client chooses by its first byte.
    private static func serve(_ listener: TCPListener, _ begun: Counter, drain: Duration = .zero) async throws {
        try await listener.serve(drain: drain) { connection in
            let manners = try await connection.read()?.first.flatMap(Manners.init) ?? .goes
            begun.add()
            do {
                while try await connection.read() != nil {}
            } catch is CancellationError {
                // The deaf ones go on in a task that does not hear of it, until the connection breaks off.
                let loop = connection.loop
                let deaf = Task.detached(executorPreference: loop) {
                    if manners == .lingers { try await loop.sleep(for: .milliseconds(50)) }
                    if manners == .ignores { while try await connection.read() != nil {} }
                }
                _ = await deaf.result
            }
        }
    }

    private static func peers(_ listener: TCPListener, _ manners: [Manners]) throws -> [Peer] {
        try manners.map { manners in
            let peer = try Peer(to: listener.address)
            try peer.send([manners.rawValue])
            return peer
        }
    }

    @Test("each one is timed, and tells how many ended in it", arguments: Setting.all)
    func phases(setting: Setting) async throws {
        let reports = Errors()
        try await withLoop(setting, reports: reports) { loop in
            let listener = try await TCPListener.bind("127.0.0.1", 0, on: loop)
            let begun = Counter()
            async let serving: Void = Self.serve(listener, begun)
            let peers = try Self.peers(listener, [.goes, .goes, .lingers, .ignores])
            await until { begun.value == 4 }
            async let ending = listener.shutdown(drain: .seconds(3_600), grace: .seconds(3_600))
            await until { (try? Peer(to: listener.address)) == nil }
            try peers[0].finishSending()
            // However long that takes here: the drain time ends after it.
            await until { listener.statistics.active == 3 }
            try await listener.shutdown(drain: .milliseconds(200), grace: .seconds(1))
            let report = try await ending
            try await serving
            let drain = try #require(report[.drain])
            // Some of those who have looked whether it still listens may have been let in.
            #expect(drain.ended >= 1)
            #expect(drain.duration >= .milliseconds(199) && drain.duration < .seconds(20), "\(report)")
            let cancel = try #require(report[.cancel])
            #expect(cancel.ended == 2, "\(report)")
            // A loop that came late to the end of the drain time is not late again for that.
            #expect(drain.duration + cancel.duration >= .milliseconds(1_199), "\(report)")
            #expect(cancel.duration < .seconds(20), "\(report)")
            #expect(report[.abort]?.ended == 1 && report.aborted == 1)
            #expect(report.phases.map(\.name) == [.drain, .cancel, .abort])
            // The one that would not go is named.
            let name = "connection \(try peers[3].localAddress())"
            #expect(reports.stubborn == [name])
            // Broken off, not closed: its client is told.
            #expect(try await ioError { try await onThread { try peers[3].receive() } }.code == .connectionReset)
            try await expectOpenSockets(0, port: listener.address.port)
            #expect(await loop.statistics.pendingTimers == 0)
        }
    }

    @Test(
        "a handler that has closed its connection and goes on is named, whoever got the descriptor's number since",
        arguments: Setting.all)
    func closedEarly(setting: Setting) async throws {
        let reports = Errors()
        try await withLoop(setting, reports: reports) { loop in
            let listener = try await TCPListener.bind("127.0.0.1", 0, on: loop)
            let (gate, closed, others) = (Gate(), Counter(), Counter())
            let peers = Log<Peer>()
            async let serving: Void = listener.serve { connection in
                guard try await connection.read()?.first == 1 else {
                    others.add()
                    return
                }
                // They are there before the number is free, so that the next one accepted gets it.
                for _ in 0..<3 {
                    let other = try Peer(to: listener.address)
                    try other.send([2])
                    peers.add(other)
                }
                connection.close()
                closed.add()
                await Task.detached { await gate.pass() }.value
            }
            let first = try Peer(to: listener.address)
            try first.send([1])
            await until { closed.value == 1 && others.value == 3 && listener.statistics.active == 1 }
            async let ending = listener.shutdown(drain: .zero, grace: .milliseconds(50))
            let name = "connection \(try first.localAddress())"
            await until { reports.stubborn == [name] }
            gate.open()
            #expect(try await ending[.abort]?.ended == 1)
            try await serving
        }
    }

    @Test("phases that are not needed do not happen", arguments: Setting.all)
    func short(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let listener = try await TCPListener.bind("127.0.0.1", 0, on: loop)
            let begun = Counter()
            async let serving: Void = Self.serve(listener, begun)
            let peers = try Self.peers(listener, [.goes])
            await until { begun.value == 1 }
            async let ending = listener.shutdown(drain: .seconds(3_600), grace: .seconds(3_600))
            await until { (try? Peer(to: listener.address)) == nil }
            try peers[0].finishSending()
            let report = try await ending
            try await serving
            // Some of those who have looked whether it still listens may have been let in.
            #expect(report.phases.map(\.name) == [.drain] && report[.drain]?.ended ?? 0 >= 1)
            let again = try await listener.shutdown(drain: .seconds(3_600), grace: .zero)
            #expect(again.phases.count == 1, "the report stays")
            let idle = try await TCPListener.bind("127.0.0.1", 0, on: loop)
            #expect("\(try await idle.shutdown(grace: .seconds(3_600)))" == "nothing was served")
        }
    }

    @Test("a caller that is cancelled ends the drain time", arguments: Setting.all)
    func impatient(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let listener = try await TCPListener.bind("127.0.0.1", 0, on: loop)
            let begun = Counter()
            async let serving: Void = Self.serve(listener, begun)
            let peers = try Self.peers(listener, [.goes, .goes])
            await until { begun.value == 2 }
            let ending = Task.detached(executorPreference: setting.caller == .onLoop ? loop : nil) {
                try await listener.shutdown(drain: .seconds(3_600), grace: .seconds(3_600))
            }
            await until { (try? Peer(to: listener.address)) == nil }
            ending.cancel()
            try await serving
            withExtendedLifetime(peers) {}
            // It may have been cancelled before it began to wait, or after all had ended.
            _ = await ending.result
        }
    }

    @Test("a handler that shuts its own server down does not wait for itself for ever", arguments: Setting.all)
    func fromHandler(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let listener = try await TCPListener.bind("127.0.0.1", 0, on: loop)
            let peer = try Peer(to: listener.address)
            try await listener.serve { _ in
                await #expect(throws: CancellationError.self) {
                    try await listener.shutdown(drain: .milliseconds(20), grace: .seconds(3_600))
                }
            }
            #expect(try await onThread { try peer.receiveAll() }.isEmpty)
        }
    }

    /// Their clients believe to be connected: closing the socket would reset them.
    @Test("what waits in the kernel's queue is served while the server drains", arguments: Setting.all)
    func queue(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            for round in 0..<20 {
                let listener = try await TCPListener.bind("127.0.0.1", 0, on: loop)
                let served = Counter()
                let gate = Gate()
                let peers = try (0..<40).map { _ in try Peer(to: listener.address) }
                async let serving: Void = listener.serve { connection in
                    if served.add() == 1 {
                        // The others are still in the queue, or on their way out of it.
                        listener.shutdown(drain: .seconds(3_600))
                        gate.open()
                    }
                    try await connection.write("served")
                }
                await gate.pass()
                for peer in peers {
                    #expect(try await onThread { try peer.receiveAll() } == Array("served".utf8), "round \(round)")
                }
                try await serving
                #expect(served.value == 40 && listener.statistics.accepted == 40)
                #expect(throws: IOError.self) { try Peer(to: listener.address) }
            }
        }
    }

    /// C20, C19.
    @Test("handlers that throw, return, hang and vanish leave nothing behind", arguments: Setting.all)
    func mixture(setting: Setting) async throws {
        struct Failure: Error {}
        let reports = Errors()
        try await withLoop(setting, reports: reports) { loop in
            let before = await loop.statistics
            let listener = try await TCPListener.bind("127.0.0.1", 0, on: loop)
            async let serving: Void = listener.serve { connection in
                switch try await connection.read()?.first {
                case 0: throw Failure()
                case 1: return
                case 2: throw CancellationError()
                case 3: connection.close()
                case 4: connection.abort()
                case 5: _ = try await connection.read()
                default: try await loop.sleep(for: .seconds(3_600))
                }
            }
            let peers = try (0..<210).map { number in
                let peer = try Peer(to: listener.address)
                try peer.send([UInt8(number % 7)])
                return peer
            }
            await until { listener.statistics.accepted == 210 && listener.statistics.active == 60 }
            let report = try await listener.shutdown(drain: .milliseconds(10), grace: .seconds(60))
            try await serving
            #expect(report[.cancel]?.ended == 60 && report.aborted == 0)
            #expect(listener.statistics.failed == 30 && reports.all.count == 30)
            withExtendedLifetime(peers) {}
            let after = await loop.statistics
            #expect(after.waitingOperations == before.waitingOperations)
            #expect(after.pendingTimers == before.pendingTimers)
            try await expectOpenSockets(0, port: listener.address.port)
        }
    }
}
