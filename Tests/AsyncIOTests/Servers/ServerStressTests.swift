import AsyncIO
import AsyncIOKernel
import AsyncIOLoop
import AsyncIOTestSupport
import Glibc
import SystemPackage
import Testing

@Suite("Servers over a long time", .timeLimit(.minutes(60)))
struct ServerStressTests {
    private struct Failure: Error {}

    /// Errors are dropped: a list of them would be what grows.
    private static var options: EventLoop.Options {
        var options = EventLoop.Options.guest()
        options.errorHandler = EventLoop.ErrorHandler { _ in }
        return options
    }

    /// C18: a task group that keeps what its children returned would grow with every connection.
    @Test(
        "connections come and go, on one loop and on several, and neither memory nor descriptors grow",
        arguments: [1, 2])
    func churn(loops: Int) async throws {
        let rounds = Stress.count("connections that come and go", few: 5_000, many: 100_000)
        try await Watchdog.watch("churn", limit: .seconds(1_500)) {
            let group = try LoopGroup(count: loops, options: Self.options)
            let server = try await group.bind("127.0.0.1", 0, spread: loops == 1 ? .reusePort : .handOver)
            let address = server.addresses[0]
            async let serving: Void = server.serve(limit: 100) { connection in
                while let bytes = try await connection.read() {
                    if bytes.first == 9 { throw Failure() }
                    try await connection.write(bytes)
                }
            }
            @Sendable func run(_ count: Int) throws {
                for number in 0..<count {
                    let peer = try Peer(to: address)
                    // No port lingers.
                    try peer.resetOnClose()
                    let byte = UInt8(number % 10)
                    try peer.send([byte])
                    let answer = try peer.receive()
                    guard answer == (byte == 9 ? [] : [byte]) else { throw Failure() }
                }
            }
            // What is allocated once is allocated in the first thousand.
            try await onThread { try run(1_000) }
            let before = ProcessTable.residentBytes
            try await onThread { try run(rounds) }
            let growth = ProcessTable.residentBytes - before
            // Other tests run in this process: what is looked for is a kilobyte for each connection.
            if Sanitizer.isNone && Stress.isOn { #expect(growth < rounds * 256, "\(growth) bytes") }
            await until { server.statistics.active == 0 }
            #expect(server.statistics.accepted == rounds + 1_000)
            #expect(server.statistics.failed >= rounds / 10)
            try await expectOpenSockets(1, port: address.port)
            server.shutdown()
            try await serving
            for loop in group.loops {
                let left = await loop.statistics
                #expect(left.waitingOperations == 0 && left.pendingTimers == 0)
            }
            try await group.shutdown()
            try await expectOpenSockets(0, port: address.port)
        }
    }

    @Test(
        "many clients at once, on all loops, some of whom vanish", arguments: [LoopGroup.Spread.reusePort, .handOver])
    func crowd(spread: LoopGroup.Spread) async throws {
        let rounds = Stress.count("rounds of a crowd", few: 30, many: 1_000)
        try await Watchdog.watch("crowd", limit: .seconds(1_500)) {
            let group = try LoopGroup(count: 2, options: Self.options)
            let server = try await group.bind("127.0.0.1", 0, spread: spread)
            let address = server.addresses[0]
            async let serving: Void = server.serve(limit: 64) { connection in
                while let bytes = try await connection.read() { try await connection.write(bytes) }
            }
            try await withThrowingTaskGroup { clients in
                for client in 0..<8 {
                    clients.addTask {
                        try await onThread {
                            for round in 0..<rounds {
                                var peers: [Peer] = []
                                for _ in 0..<16 { peers.append(try Peer(to: address)) }
                                for (number, peer) in peers.enumerated() {
                                    try peer.resetOnClose()
                                    if (number + round + client) % 5 == 0 { continue }
                                    try peer.send([UInt8(number)])
                                }
                                // Nobody waits for an answer: the limit is lower than the crowd, and whoever
                                // vanishes makes room.
                                peers.removeAll()
                            }
                        }
                    }
                }
                try await clients.waitForAll()
            }
            await until { server.statistics.active == 0 }
            let peer = try Peer(to: address)
            try peer.send([5])
            #expect(try await onThread { try peer.receive() } == [5], "it serves on")
            server.shutdown()
            try await serving
            try await group.shutdown()
            try await expectOpenSockets(0, port: address.port)
        }
    }
}
