import AsyncIO
import AsyncIOKernel
import AsyncIOLoop
import AsyncIOTestSupport
import SystemPackage
import Testing

@Suite("How many connections a server takes, and how fast", .timeLimit(.minutes(30)))
struct ConnectionLimitTests {
    @Test("at its limit a server lets clients wait, and takes one as one ends", arguments: Setting.all)
    func limit(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let listener = try await TCPListener.bind("127.0.0.1", 0, on: loop)
            let most = Counter()
            async let serving: Void = listener.serve(limit: 3) { connection in
                let active = listener.statistics.active
                if active > most.value { most.add(active - most.value) }
                try await connection.write("in")
                while try await connection.read() != nil {}
            }
            // All of them connect: the kernel keeps those that are too many.
            var peers = try (0..<10).map { _ in try Peer(to: listener.address) }
            for _ in 0..<10 {
                let first = peers.removeFirst()
                #expect(try await onThread { try first.receive() } == Array("in".utf8))
                #expect(listener.statistics.active <= 3)
                try first.finishSending()
                #expect(try await onThread { try first.receive() }.isEmpty)
            }
            #expect(most.value == 3, "and it did take as many as it may")
            let report = try await listener.shutdown(drain: .seconds(60), grace: .seconds(1))
            try await serving
            #expect(listener.statistics.accepted == 10 && report.aborted == 0)
        }
    }

    @Test("a server that waits at its limit can be shut down, and serves those that wait first", arguments: Setting.all)
    func shutdownAtLimit(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            for drains in [true, false] {
                let listener = try await TCPListener.bind("127.0.0.1", 0, on: loop)
                let most = Log<Int>()
                async let serving: Void = listener.serve(limit: 1) { connection in
                    most.add(listener.statistics.active)
                    while let bytes = try await connection.read() { try await connection.write(bytes) }
                }
                let peers = try (0..<5).map { _ in try Peer(to: listener.address) }
                try peers[0].send([7])
                #expect(try await onThread { try peers[0].receive() } == [7])
                listener.shutdown(drain: drains ? .seconds(3_600) : .zero)
                if drains {
                    // One after the other: the limit holds to the end.
                    for peer in peers {
                        try peer.send([8])
                        #expect(try await onThread { try peer.receive() } == [8])
                        try peer.finishSending()
                        #expect(try await onThread { try peer.receive() }.isEmpty)
                    }
                }
                try await serving
                #expect(listener.statistics.accepted == (drains ? 5 : 1))
                #expect(most.all.allSatisfy { $0 == 1 }, "\(most.all)")
                try await expectOpenSockets(0, port: listener.address.port)
            }
        }
    }

    @Test("what a draining server has not come to is closed, counted and reported", arguments: Setting.all)
    func refusedAtLimit(setting: Setting) async throws {
        let reports = Errors()
        try await withLoop(setting, reports: reports) { loop in
            let listener = try await TCPListener.bind("127.0.0.1", 0, on: loop)
            async let serving: Void = listener.serve(limit: 1) { connection in
                try await connection.write("in")
                while try await connection.read() != nil {}
            }
            let peers = try (0..<40).map { _ in try Peer(to: listener.address) }
            #expect(try await onThread { try peers[0].receive() } == Array("in".utf8))
            let report = try await listener.shutdown(drain: .milliseconds(20), grace: .seconds(60))
            try await serving
            #expect(report[.cancel]?.ended == 1 && report.aborted == 0)
            #expect(listener.statistics.accepted == 1 && listener.statistics.refused == 39)
            #expect(reports.lines.count == 1 && reports.lines[0].contains("39 connections that waited"))
            for peer in peers.dropFirst() {
                // An end, not a reset: nothing of theirs was lost on the way.
                #expect(try await onThread { try peer.receiveAll() }.isEmpty)
            }
            try await expectOpenSockets(0, port: listener.address.port)
        }
    }

    @Test("a limit below one counts as one", arguments: Setting.all)
    func tinyLimit(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let listener = try await TCPListener.bind("127.0.0.1", 0, on: loop)
            async let serving: Void = listener.serve(limit: -5) { connection in try await connection.write("x") }
            for _ in 0..<3 {
                let peer = try Peer(to: listener.address)
                #expect(try await onThread { try peer.receiveAll() } == Array("x".utf8))
            }
            listener.shutdown()
            try await serving
        }
    }

    /// A8. The acceptor gives way after some connections, so what is ready gets its turn.
    @Test("a storm of connections keeps no timer waiting", arguments: Drivers.available)
    func storm(driver: DriverChoice) async throws {
        try await withLoop(Setting(driver: driver, caller: .onLoop)) { loop in
            let listener = try await TCPListener.bind("127.0.0.1", 0, on: loop)
            // They all wait when the server begins.
            let peers = try (0..<2_000).map { _ in try Peer(to: listener.address) }
            // Not by time, of which the machine may have little: how many are accepted while a timer is due.
            let meanwhile = Log<Int>()
            let ticking = Task(executorPreference: loop) {
                while !Task.isCancelled {
                    let before = listener.statistics.accepted
                    try await loop.sleep(for: .zero)  // sleeps: the timer is what is tested
                    meanwhile.add(listener.statistics.accepted - before)
                }
            }
            async let serving: Void = listener.serve { connection in
                // A little work for each.
                while let bytes = try await connection.read() { try await connection.write(bytes) }
            }
            await until { listener.statistics.accepted == 2_000 }
            await until { meanwhile.count > 2 }
            ticking.cancel()
            _ = try? await ticking.value
            let worst = meanwhile.all.max() ?? .max
            print("a storm over \(driver.rawValue): at most \(worst) connections were accepted while a timer was due")
            #expect(worst < 200)
            withExtendedLifetime(peers) {}
            listener.shutdown()
            try await serving
        }
    }

    @Test("between two connections that are ready, the acceptor lets others run", arguments: Drivers.available)
    func givesWay(driver: DriverChoice) async throws {
        try await withLoop(Setting(driver: driver, caller: .onLoop)) { loop in
            let listener = try await TCPListener.bind("127.0.0.1", 0, on: loop)
            let peers = try (0..<200).map { _ in try Peer(to: listener.address) }
            let steps = Log<Int>()
            let watching = Task(executorPreference: loop) {
                while listener.statistics.accepted < 200 {
                    steps.add(listener.statistics.accepted)
                    await EventLoop.yield()
                }
                steps.add(listener.statistics.accepted)
            }
            async let serving: Void = listener.serve { connection in while try await connection.read() != nil {} }
            await watching.value
            let most = zip(steps.all, steps.all.dropFirst()).map { $1 - $0 }.max() ?? 200
            #expect(most <= 16, "\(most) connections in one go")
            withExtendedLifetime(peers) {}
            listener.shutdown()
            try await serving
        }
    }

    @Test("while the server drains, the acceptor lets others run, too", arguments: Drivers.available)
    func givesWayDraining(driver: DriverChoice) async throws {
        try await withLoop(Setting(driver: driver, caller: .onLoop)) { loop in
            let listener = try await TCPListener.bind("127.0.0.1", 0, on: loop)
            let peers = try (0..<200).map { _ in try Peer(to: listener.address) }
            let (before, steps, served) = (Counter(), Log<Int>(), Counter())
            let serving = Task(executorPreference: loop) {
                try await listener.serve { connection in
                    if served.add() == 1 {
                        before.add(listener.statistics.accepted)
                        listener.shutdown(drain: .seconds(3_600))
                    }
                    while try await connection.read() != nil {}
                }
            }
            while listener.statistics.accepted < 200 {
                steps.add(listener.statistics.accepted)
                await EventLoop.yield()
            }
            steps.add(listener.statistics.accepted)
            #expect(before.value < 100, "most of them came while it drained")
            let most = zip(steps.all, steps.all.dropFirst()).map { $1 - $0 }.max() ?? 200
            #expect(most <= 16, "\(most) connections in one go")
            withExtendedLifetime(peers) {}
            listener.shutdown()
            try await serving.value
        }
    }

    @Test("two listeners that share a port share its connections", arguments: Setting.all)
    func share(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let options = TCPOptions(reusePort: true)
            let first = try await TCPListener.bind("127.0.0.1", 0, options: options, on: loop)
            let second = try await TCPListener.bind(to: first.address, options: options, on: loop)
            let server = TCPServer(first, second)
            async let serving: Void = server.serve { connection in
                while let bytes = try await connection.read() { try await connection.write(bytes) }
            }
            try await onThread {
                for _ in 0..<1_000 {
                    let peer = try Peer(to: first.address)
                    try peer.resetOnClose()
                    try peer.send([1])
                    _ = try peer.receive()
                }
            }
            let counts = (first.statistics.accepted, second.statistics.accepted)
            #expect(counts.0 + counts.1 == 1_000 && counts.0 > 400 && counts.1 > 400, "\(counts)")
            server.shutdown()
            try await serving
        }
    }
}
