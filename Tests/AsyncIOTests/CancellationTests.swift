import AsyncIO
import AsyncIOKernel
import AsyncIOLoop
import AsyncIOTestSupport
import SystemPackage
import Testing

@Suite("Cancellation", .timeLimit(.minutes(30)))
struct CancellationTests {
    /// Complete or throw, never both: a byte that the kernel has given away reaches the caller.
    @Test("of a read, at any moment, loses no byte", arguments: Setting.everywhere, [1 as UInt64, 2, 3])
    func readLosesNothing(setting: Setting, seed: UInt64) async throws {
        try await withLoop(setting) { loop in
            let connection = try await Connection(on: loop)
            let rounds = setting.isSimulated ? 500 : setting.caller == .onLoop ? 5_000 : 2_000
            let reader = connection.server
            let enough = Counter()
            async let writing: Int = Self.write(connection.client, seed: seed) { enough.value > 0 }
            var generator = Randomness(seed: seed)
            var (received, cancelled) = (0, 0)
            for _ in 0..<rounds {
                let limit = Int.random(in: 1...3_000, using: &generator)
                let task = Task.detached(executorPreference: setting.caller == .onLoop ? loop : nil) {
                    try await limit % 2 == 0 ? reader.read(upTo: limit) : Self.readIntoBuffer(reader, limit)
                }
                for _ in 0..<Int.random(in: 0...3, using: &generator) { await Task.yield() }
                task.cancel()
                switch await task.result {
                case .success(let bytes):
                    let bytes = try #require(bytes)
                    #expect(Bytes.difference(bytes, at: received) == nil)
                    received += bytes.count
                case .failure(let error):
                    #expect(error is CancellationError)
                    cancelled += 1
                }
            }
            enough.add()
            while let bytes = try await reader.read() {
                #expect(Bytes.difference(bytes, at: received) == nil)
                received += bytes.count
            }
            #expect(try await received == writing, "seed \(seed)")
            #expect(setting.isSimulated || cancelled > rounds / 100 && cancelled < rounds, "both outcomes were seen")
            #expect(await loop.statistics.waitingOperations == 0)
        }
    }

    private static func readIntoBuffer(_ stream: TCPStream, _ limit: Int) async throws -> [UInt8]? {
        var buffer = IOBuffer(capacity: limit)
        guard try await stream.read(into: &buffer) > 0 else { return nil }
        return buffer.withBytes { unsafe $0.withUnsafeBytes { unsafe [UInt8]($0) } }
    }

    /// Writes at odd moments until it is enough; returns how much that was.
    private static func write(
        _ stream: TCPStream, seed: UInt64, until isEnough: @Sendable () -> Bool
    ) async throws -> Int {
        var generator = Randomness(seed: seed &+ 100)
        var sent = 0
        while !isEnough() {
            let count = Int.random(in: 1...2_000, using: &generator)
            try await stream.write((0..<count).map { Bytes.byte(sent + $0) })
            sent += count
            for _ in 0..<Int.random(in: 0...4, using: &generator) { await Task.yield() }
        }
        try await stream.closeWriting()
        return sent
    }

    @Test("before an operation lets it do nothing", arguments: Setting.everywhere)
    func before(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let connection = try await Connection(on: loop)
            try await connection.client.write("kept")
            let listener = try await TCPListener.bind("127.0.0.1", 0, on: loop)
            let task = Task.detached(executorPreference: setting.caller == .onLoop ? loop : nil) {
                await until { Task.isCancelled }
                await #expect(throws: CancellationError.self) { try await connection.server.read() }
                await #expect(throws: CancellationError.self) { try await connection.server.write("never") }
                await #expect(throws: CancellationError.self) { try await listener.accept() }
                await #expect(throws: CancellationError.self) {
                    try await TCPStream.connect(to: listener.address, on: loop)
                }
                // Closing is clean-up, which a cancelled task does too.
                connection.server.close()
            }
            task.cancel()
            await task.value
            // The bytes were never read, so closing resets: the peer hears of it.
            await until { (try? await connection.client.read()) == nil }
        }
    }

    @Test("from another thread ends a read promptly", arguments: Setting.all)
    func fromAnotherThread(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let connection = try await Connection(on: loop)
            for _ in 0..<200 {
                let task = Task.detached(executorPreference: setting.caller == .onLoop ? loop : nil) {
                    try await connection.server.read()
                }
                await until { await loop.statistics.waitingOperations == 1 }
                try await onThread { task.cancel() }
                await #expect(throws: CancellationError.self) { try await task.value }
            }
            try await connection.client.write("after")
            #expect(try await connection.server.read() == Array("after".utf8))
        }
    }

    @Test("of an accept loses no connection", arguments: Setting.all)
    func acceptLosesNothing(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let listener = try await TCPListener.bind("127.0.0.1", 0, on: loop)
            let address = listener.address
            let count = 500
            async let dialing = onThread { try (0..<count).map { _ in try Peer(to: address) } }
            var accepted: [TCPStream] = []
            var generator = Randomness(seed: 7)
            while accepted.count < count {
                let task = Task.detached(executorPreference: setting.caller == .onLoop ? loop : nil) {
                    try await listener.accept()
                }
                for _ in 0..<Int.random(in: 0...3, using: &generator) { await Task.yield() }
                task.cancel()
                if case .success(let stream) = await task.result { accepted.append(stream) }
            }
            let peers = try await dialing
            try await expectOpenSockets(count + 1, port: address.port)
            // Every one of them works.
            for peer in peers { try peer.send([1]) }
            for stream in accepted { #expect(try await stream.read() == [1]) }
        }
    }

    @Test("of a connect closes the attempt", arguments: Setting.all)
    func connect(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            // A listener with a full queue does not answer: the attempt hangs.
            let (silent, address) = try Peer.listening(backlog: 0)
            let first = try Peer(to: address)
            for _ in 0..<20 {
                let task = Task.detached(executorPreference: setting.caller == .onLoop ? loop : nil) {
                    try await TCPStream.connect(to: address, on: loop)
                }
                await until { await loop.statistics.waitingOperations == 1 }
                task.cancel()
                await #expect(throws: CancellationError.self) { try await task.value }
            }
            // The first one is left; ours are all gone.
            try await expectOpenSockets(1, .remote, port: address.port)
            withExtendedLifetime((silent, first)) {}
        }
    }

    @Test("of a write that waits is told; the connection is then good for closing", arguments: Setting.all)
    func write(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let (stream, peer) = try await streamWithPeer(on: loop, receiveBuffer: 4_096)
            let sent = Bytes.pattern(32 << 20)
            let task = Task.detached(executorPreference: setting.caller == .onLoop ? loop : nil) {
                try await stream.write(sent)
            }
            await until { await loop.statistics.waitingOperations == 1 }
            task.cancel()
            await #expect(throws: CancellationError.self) { try await task.value }
            stream.close()
            let received = try await onThread { try peer.receiveAll() }
            #expect(received.count < sent.count)
            #expect(Bytes.difference(received, at: 0) == nil, "a beginning of what was sent, and nothing else")
        }
    }
}
