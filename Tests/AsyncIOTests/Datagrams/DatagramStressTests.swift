import AsyncIO
import AsyncIOKernel
import AsyncIOLoop
import AsyncIOTestSupport
import Glibc
import SystemPackage
import Testing

/// Many datagrams of mixed sizes over loopback, none of them lost: the sender never has more under way than the
/// receiver's buffer holds.
@Suite("A flood of datagrams", .timeLimit(.minutes(30)))
struct DatagramStressTests {
    static let offloads = [(false, false), (true, true)]

    @Test("all arrive, in order and whole, and the sockets live on", arguments: offloads)
    func flood(offload: (sends: Bool, receives: Bool)) async throws {
        let total = Stress.count("flood of datagrams", few: 50_000, many: 1_000_000)
        try await withLoop(Setting(driver: .epoll, caller: .onLoop)) { loop in
            let receiving = UDPOptions { options in
                options.receiveBuffer = 4 << 20
                options.coalescesReceived = offload.receives
            }
            let server = try await UDPSocket.bind("127.0.0.1", 0, options: receiving, on: loop)
            let sending = UDPOptions { $0.segmentsSent = offload.sends }
            let client = try await UDPSocket.connect(to: server.local, options: sending, on: loop)
            let (sent, received) = (Window(limit: 512 << 10), Counter())
            let seed = Randomness().seed
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask(executorPreference: loop) {
                    var source = Flood(seed: seed)
                    var left = total
                    while left > 0 {
                        let batch = source.batch(upTo: left)
                        try await sent.reserve(batch.reduce(0) { $0 + Flood.weight($1.count) })
                        var rest = batch[...]
                        // A batch of different sizes, and now and then one by one.
                        if left % 5 == 0 {
                            for bytes in batch { try await client.send(bytes) }
                            rest = []
                        }
                        while !rest.isEmpty {
                            let result = try await client.sendBatch(Array(rest))
                            if let failure = result.failure { throw failure }
                            rest = rest.dropFirst(result.sent)
                        }
                        left -= batch.count
                    }
                }
                var expected = Flood(seed: seed)
                var wanted: ArraySlice<[UInt8]> = []
                while received.value < total {
                    var freed = 0
                    received.add(
                        try await server.receiveBatch(upTo: 64) { info, bytes in
                            if wanted.isEmpty { wanted = expected.batch(upTo: total)[...] }
                            let next = wanted.removeFirst()
                            freed += Flood.weight(info.length)
                            let isSame = unsafe bytes.withUnsafeBytes { bytes in
                                unsafe bytes.count == next.count
                                    && (bytes.baseAddress.map { unsafe memcmp($0, next, next.count) == 0 }
                                        ?? next.isEmpty)
                            }
                            guard isSame, !info.isTruncated else { throw Strange(number: received.value, seed: seed) }
                        })
                    await sent.free(freed)
                }
                try await group.waitForAll()
            }
            // Errors are told, and change nothing.
            #expect(try await ioError { try await client.send(Bytes.pattern(65_508)) }.code == .messageTooLong)
            try await client.send("still here")
            #expect(try await server.receive().bytes == Array("still here".utf8))
        }
    }
}

private struct Strange: Error {
    let number: Int
    let seed: UInt64
}

/// What is sent: both sides draw the same.
private struct Flood {
    var random: Randomness
    /// Bytes to cut from.
    static let source = Bytes.pattern(65_507 + 1_000)

    init(seed: UInt64) { random = Randomness(seed: seed) }

    /// Runs of one size from 0 to 1400, single ones of any, and rarely the largest.
    mutating func batch(upTo limit: Int) -> [[UInt8]] {
        let kind = random.next() % 50
        let isLarge = kind == 0
        let isRun = kind % 2 == 1
        let size = isLarge ? Int(random.next() % 65_508) : Int(random.next() % 1_401)
        let batch = (0..<(isLarge ? 2 : 40)).map { _ in
            let length = isRun || isLarge ? size : Int(random.next() % 1_401)
            let start = Int(random.next() % 1_000)
            return Array(Self.source[start..<start + length])
        }
        // The last batch is cut short, on both sides at the same place, or not at all.
        return Array(batch.prefix(limit))
    }

    /// More than the kernel counts for a datagram: its pages, and the overhead of each.
    static func weight(_ length: Int) -> Int { length * 2 + 4_096 }
}

/// How much may be under way.
private actor Window {
    private let limit: Int
    private var used = 0
    private var waiting: CheckedContinuation<Void, Never>?

    init(limit: Int) { self.limit = limit }

    func reserve(_ amount: Int) async throws {
        while used > 0 && used + amount > limit { await withCheckedContinuation { waiting = $0 } }
        used += amount
    }

    func free(_ amount: Int) {
        used -= amount
        waiting?.resume()
        waiting = nil
    }
}
