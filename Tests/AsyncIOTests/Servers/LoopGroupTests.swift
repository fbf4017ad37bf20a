import AsyncIOKernel
import AsyncIOLoop
import AsyncIOTestSupport
import Glibc
import SystemPackage
import Testing

@testable import AsyncIO

@Suite("A group of loops", .timeLimit(.minutes(30)))
struct LoopGroupTests {
    private static func options(_ errors: Errors = Errors()) -> EventLoop.Options {
        .guest(name: "group", errors: errors)
    }

    /// Runs a body with a group, under the watchdog, on Swift's own threads.
    private func withGroup(
        _ count: Int, _ name: String = Test.current?.name ?? "a test",
        _ body: (LoopGroup) async throws -> Void
    ) async throws {
        try await Watchdog.watch(name) {
            let group = try LoopGroup(count: count, options: Self.options())
            let result: Result<Void, any Error>
            do { result = .success(try await body(group)) } catch { result = .failure(error) }
            try await group.shutdown()
            try result.get()
        }
    }

    @Test("has a loop and a thread for each core that may be used, and names them")
    func count() async throws {
        #expect(LoopGroup.usableCores >= 1 && LoopGroup.usableCores <= sysconf(Int32(_SC_NPROCESSORS_CONF)))
        try await withGroup(3) { group in
            #expect(group.loops.map(\.name) == ["group 1", "group 2", "group 3"])
            #expect("\(group)" == "LoopGroup(3 loops)")
            let turns = (0..<6).map { _ in group.next().name }
            #expect(Array(turns[0..<3]) == group.loops.map(\.name) && turns[0..<3] == turns[3..<6])
            var names: [String] = []
            for loop in group.loops {
                names.append(try await group.spawn(on: loop) { EventLoop.current?.name ?? "none" }.value)
            }
            #expect(names == group.loops.map(\.name))
        }
        let group = try LoopGroup(options: Self.options())
        #expect(group.loops.count == LoopGroup.usableCores)
        group.close()
        #expect(group.loops.allSatisfy { $0.isClosed })
    }

    @Test("can have the loop that runs already as its first, which does not end with it")
    func including() async throws {
        try await Guest.run { loop in
            let group = try LoopGroup(count: 2, including: loop, options: Self.options())
            #expect(group.loops[0] === loop && group.loops.map(\.name) == ["guest", "group 2"])
            try await group.serve("127.0.0.1", 0, onReady: { $0.shutdown() }, { _ in })
            try await group.shutdown()
            #expect(!loop.isClosed && group.loops[1].isClosed)
        }
    }

    @Test("serves on all of its loops, on one port", arguments: [LoopGroup.Spread.reusePort, .handOver])
    func serves(spread: LoopGroup.Spread) async throws {
        try await withGroup(3) { group in
            let server = try await group.bind("127.0.0.1", 0, spread: spread)
            #expect(server.addresses.count == 1 && server.addresses[0].port != 0)
            async let serving: Void = server.serve { connection in
                #expect(connection.loop.isCurrent)
                try await connection.write(connection.loop.name)
                while try await connection.read() != nil {}
                #expect(connection.loop.isCurrent)
            }
            var counts: [String: Int] = [:]
            for _ in 0..<300 {
                let peer = try Peer(to: server.addresses[0])
                try peer.finishSending()
                let name = String(decoding: try await onThread { try peer.receiveAll() }, as: UTF8.self)
                counts[name, default: 0] += 1
            }
            #expect(Set(counts.keys) == Set(group.loops.map(\.name)))
            switch spread {
            case .reusePort: #expect(counts.values.allSatisfy { $0 > 50 }, "\(counts)")
            case .handOver: #expect(counts.values.allSatisfy { $0 == 100 }, "\(counts)")
            }
            let numbers = server.statisticsByLoop.map { ($0.loop.name, $0.statistics.accepted) }
            #expect(Dictionary(uniqueKeysWithValues: numbers) == counts)
            let report = try await server.shutdown(drain: .seconds(60), grace: .seconds(1))
            try await serving
            #expect(server.statistics.active == 0 && report.aborted == 0)
            try await expectOpenSockets(0, port: server.addresses[0].port)
        }
    }

    @Test("keeps to one limit for all of its loops", arguments: [LoopGroup.Spread.reusePort, .handOver])
    func limit(spread: LoopGroup.Spread) async throws {
        try await withGroup(3) { group in
            let server = try await group.bind("127.0.0.1", 0, spread: spread)
            let most = Log<Int>()
            async let serving: Void = server.serve(limit: 5) { connection in
                most.add(server.statistics.active)
                try await connection.write("in")
                while try await connection.read() != nil {}
            }
            let address = server.addresses[0]
            // As many threads as clients: each comes in sooner or later, whichever loop has it.
            try await withThrowingTaskGroup { clients in
                for _ in 0..<40 {
                    clients.addTask {
                        try await onThread {
                            let peer = try Peer(to: address)
                            #expect(try peer.receive() == Array("in".utf8))
                            try peer.finishSending()
                            #expect(try peer.receive().isEmpty)
                        }
                    }
                }
                try await clients.waitForAll()
            }
            // One acceptor keeps to it exactly; three look each by itself.
            #expect(most.all.max() ?? 0 <= (spread == .handOver ? 5 : 7))
            server.shutdown()
            try await serving
            #expect(server.statistics.accepted == 40)
        }
    }

    @Test("says that a port is in use, even if its owner would share it")
    func taken() async throws {
        try await withGroup(2) { group in
            let shared = TCPOptions(reusePort: true)
            let owner = try await TCPListener.bind("127.0.0.1", 0, options: shared, on: group.loops[0])
            let port = try #require(owner.address.port)
            #expect(try await ioError { try await group.bind("127.0.0.1", port) }.code == .addressInUse)
            // Unless both want to.
            let server = try await group.bind("127.0.0.1", port, options: shared)
            #expect(server.addresses == [owner.address])
            server.close()
        }
    }

    @Test("shuts its servers down before its loops", arguments: [LoopGroup.Spread.reusePort, .handOver])
    func shutdown(spread: LoopGroup.Spread) async throws {
        try await Watchdog.watch("shutdown") {
            let reports = Errors()
            let group = try LoopGroup(count: 2, options: Self.options(reports))
            let (begun, finished) = (Counter(), Counter())
            let gate = Gate()
            let address = Condition<SocketAddress?>(nil)
            async let serving: Void = group.serve(
                "127.0.0.1", 0, spread: spread,
                onReady: { server in
                    address.withLock { $0 = server.addresses[0] }
                    gate.open()
                },
                { connection in
                    begun.add()
                    while try await connection.read() != nil {}
                    finished.add()
                })
            await gate.pass()
            let place = try #require(address.withLock { $0 })
            let peers = try (0..<20).map { _ in try Peer(to: place) }
            await until { begun.value == 20 }
            async let ending: Void = group.shutdown(drain: .seconds(3_600))
            await until { (try? Peer(to: place)) == nil }
            for peer in peers { try peer.finishSending() }
            try await serving
            try await ending
            #expect(finished.value == begun.value && reports.lines.isEmpty)
            #expect(group.loops.allSatisfy { $0.isClosed })
        }
    }

    @Test("a caller that is cancelled ends the drain time, and leaves the handlers their grace")
    func impatient() async throws {
        try await Watchdog.watch("impatient") {
            let reports = Errors()
            let group = try LoopGroup(count: 2, options: Self.options(reports))
            let server = try await group.bind("127.0.0.1", 0)
            let (cancelled, gate, finished) = (Counter(), Gate(), Counter())
            async let serving: Void = server.serve { connection in
                do {
                    while try await connection.read() != nil {}
                } catch is CancellationError {
                    cancelled.add()
                    let cleanup = Task.detached(executorPreference: connection.loop) {
                        await gate.pass()
                        try await connection.write("goodbye")
                        finished.add()
                    }
                    _ = await cleanup.result
                }
            }
            let peers = try (0..<4).map { _ in try Peer(to: server.addresses[0]) }
            await until { server.statistics.active == 4 }
            let ending = Task { try await group.shutdown(drain: .seconds(3_600), grace: .seconds(3_600)) }
            await until { (try? Peer(to: server.addresses[0])) == nil }
            ending.cancel()
            await until { cancelled.value >= 4 }
            // Were the caller to stop waiting, the loops would be asked to end now, and their streams with them.
            for loop in group.loops { _ = await loop.statistics }
            gate.open()
            for peer in peers { #expect(try await onThread { try peer.receiveAll() } == Array("goodbye".utf8)) }
            try await serving
            try await ending.value
            #expect(finished.value >= 4 && reports.lines.isEmpty, "\(reports.lines)")
            #expect(group.loops.allSatisfy { $0.isClosed })
        }
    }

    @Test("names all who would not end, of all loops, in one error")
    func errors() async throws {
        try await Watchdog.watch("errors") {
            let reports = Errors()
            let group = try LoopGroup(count: 3, options: Self.options(reports))
            let gate = Gate()
            for loop in group.loops.dropFirst() {
                group.spawn(on: loop, name: "deaf on \(loop.name)") { await gate.pass() }
            }
            let error = await #expect(throws: LoopGroupError.self) {
                try await group.shutdown(grace: .milliseconds(50))
            }
            #expect(error?.errors.map(\.loop) == ["group 2", "group 3"])
            #expect(error?.errors.map(\.error).contains(.ignoredCancellation(["deaf on group 3"])) == true)
            #expect(Set(reports.stubborn) == ["deaf on group 2", "deaf on group 3"])
            gate.open()
        }
    }

    @Test(
        "a loop that ends by itself ends the server, which says so", arguments: [LoopGroup.Spread.reusePort, .handOver])
    func lostLoop(spread: LoopGroup.Spread) async throws {
        try await Watchdog.watch("lost loop") {
            let group = try LoopGroup(count: 2, options: Self.options())
            let server = try await group.bind("127.0.0.1", 0, spread: spread)
            async let serving: Void = server.serve { connection in while try await connection.read() != nil {} }
            let peers = try (0..<10).map { _ in try Peer(to: server.addresses[0]) }
            await until { server.statistics.accepted == 10 }
            group.close()
            var error: (any Error)?
            do { try await serving } catch let thrown { error = thrown }
            #expect(error != nil)
            withExtendedLifetime(peers) {}
            try await expectOpenSockets(0, port: server.addresses[0].port)
        }
    }

    /// What has been handed over and not served yet must neither leak nor hang.
    @Test("connections that are on their way to another loop when all ends are closed")
    func handOverAtTheEnd() async throws {
        for round in 0..<Stress.count("hand-overs at the end", few: 20, many: 500) {
            try await Watchdog.watch("hand-over at the end") {
                let group = try LoopGroup(count: 3, options: Self.options())
                let server = try await group.bind("127.0.0.1", 0, spread: .handOver)
                let address = server.addresses[0]
                let peers = try (0..<30).map { _ in try Peer(to: address) }
                async let serving: Void = server.serve { connection in while try await connection.read() != nil {} }
                await until { server.statistics.accepted > round % 20 }
                if round % 2 == 0 {
                    try await server.shutdown(grace: .seconds(60))
                    try await serving
                    #expect(server.statistics.active == 0)
                    try await group.shutdown()
                } else {
                    try await group.shutdown()
                    _ = try? await serving
                }
                try await expectOpenSockets(0, port: address.port)
                withExtendedLifetime(peers) {}
            }
        }
    }

    @Test("a burst of connections wakes the loop that they are handed to a few times only")
    func wakeUps() async throws {
        try await withGroup(2) { group in
            let server = try await group.bind("127.0.0.1", 0, spread: .handOver)
            let peers = try (0..<1_000).map { _ in try Peer(to: server.addresses[0]) }
            let before = await group.loops[1].statistics.wakeUps
            async let serving: Void = server.serve { connection in while try await connection.read() != nil {} }
            await until { server.statistics.accepted == 1_000 }
            let wakeUps = await group.loops[1].statistics.wakeUps - before
            #expect(wakeUps <= 500, "at most one for each connection, and fewer in a burst")
            withExtendedLifetime(peers) {}
            server.shutdown()
            try await serving
        }
    }
}

@Suite("State that is spread over loops", .timeLimit(.minutes(30)))
struct ShardedTests {
    private actor Shard: LoopActor {
        nonisolated let loop: EventLoop
        private(set) var keys: Set<Int> = []
        init(_ loop: EventLoop) { self.loop = loop }
        func add(_ key: Int) -> Bool {
            keys.insert(key)
            return loop.isCurrent
        }
    }

    @Test("a key has one shard, which lives on its loop")
    func keys() async throws {
        try await Watchdog.watch("shards") {
            let group = try LoopGroup(count: 3, options: .guest())
            let shards = Sharded(over: group) { Shard($0) }
            for key in 0..<300 {
                let isHome = await shards[of: key].add(key)
                #expect(isHome)
                #expect(shards[of: key] === shards[of: key])
            }
            var all = 0
            for shard in shards.shards {
                let count = await shard.keys.count
                #expect(count > 50)
                all += count
            }
            #expect(all == 300 && shards.here == nil)
            for (index, loop) in group.loops.enumerated() {
                #expect(shards[on: loop] === shards.shards[index])
                let isHere = try await group.spawn(on: loop) { shards.here === shards.shards[index] }.value
                #expect(isHere)
            }
            try await group.shutdown()
        }
    }

    @Test("a value of a loop is changed there without a lock, and collected from all")
    func values() async throws {
        try await Watchdog.watch("values") {
            let group = try LoopGroup(count: 3, options: .guest())
            let counts = LoopLocal(over: group) { _ in 0 }
            #expect(counts.withValue { $0 } == nil, "this is no loop of the group")
            try await withThrowingTaskGroup { tasks in
                for (index, loop) in group.loops.enumerated() {
                    for _ in 0..<10 {
                        tasks.addTask(executorPreference: loop) {
                            for _ in 0..<100 {
                                counts.withValue { $0 += index + 1 }
                                await EventLoop.yield()
                            }
                        }
                    }
                }
                try await tasks.waitForAll()
            }
            #expect(try await counts.collect { $0 } == [1_000, 2_000, 3_000])
            try await group.shutdown()
            await #expect(throws: EventLoopError.self) { try await counts.collect { $0 } }
        }
    }
}

@Suite("The cores that a process may use")
struct ProcessorQuotaTests {
    @Test(
        "a control group's quota counts, rounded up, and the smallest on the way to the root",
        arguments: [
            ("0::/", ["/cpu.max": "max 100000\n"], nil),
            ("0::/", ["/cpu.max": "100000 100000\n"], 1),
            ("0::/", ["/cpu.max": "150000 100000\n"], 2),
            ("0::/a/b", ["/a/b/cpu.max": "max 100000", "/a/cpu.max": "400000 100000"], 4),
            ("0::/a/b", ["/a/b/cpu.max": "50000 100000", "/a/cpu.max": "400000 100000"], 1),
            // In a container, whose own group is all it sees.
            ("0::/docker/0123", ["/cpu.max": "200000 100000"], 2),
            (
                "12:cpu,cpuacct:/a\n0::/",
                ["/cpu/a/cpu.cfs_quota_us": "300000\n", "/cpu/a/cpu.cfs_period_us": "100000\n"], 3
            ),
            ("12:cpu,cpuacct:/", ["/cpu/cpu.cfs_quota_us": "-1\n", "/cpu/cpu.cfs_period_us": "100000\n"], nil),
            ("5:memory:/", ["/cpu.max": "100000 100000"], nil),
            // Nonsense is no quota.
            ("", [:], nil), ("0::/", [:], nil), ("0", ["/cpu.max": "1 1"], nil),
            ("0::/", ["/cpu.max": "0 0"], nil), ("0::/", ["/cpu.max": "-3 5"], nil), ("0::/", ["/cpu.max": "x"], nil),
            ("0::/", ["/cpu.max": "9223372036854775807 1"], Int.max),
        ] as [(String, [String: String], Int?)])
    func quota(membership: String, files: [String: String], expected: Int?) {
        let found = ProcessorQuota.quota(membership: membership) { path in
            path.hasPrefix("/sys/fs/cgroup") ? files[String(path.dropFirst("/sys/fs/cgroup".count))] : nil
        }
        #expect(found == expected)
    }
}
