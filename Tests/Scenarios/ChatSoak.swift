import AsyncIO
import AsyncIOCommand
import AsyncIOTesting

/// The chat server with so many people in rooms, who now and then say something, leave and come again, for a day.
///
/// What has to hold: whatever somebody says arrives at everybody who is in the room all the while, once, in order.
enum ChatSoak {
    struct Figures {
        var said = 0
        var heard = 0
        var visits = 0
    }

    /// Called by code of one simulation.
    private final class Ledger: @unchecked Sendable {
        var figures = Figures()
    }

    static func run(_ world: World, people: Int, roomSize: Int = 20, lasting time: Duration) async throws -> Figures {
        world.network.link = Link { $0.latency = .uniform(.milliseconds(1) ... .milliseconds(80)) }
        let server = try world.addHost("server")
        try server.program("chat") {
            let listener = try await TCPListener.bind("0.0.0.0", 7000)
            var limits = Chat.Limits()
            limits.people = people
            try await ChatServer(limits: limits, linesPerSecond: 20).run(on: listener)
        }
        let hosts = try (0..<max(people / 100, 1)).map { try world.addHost("users-\($0)") }
        let ledger = Ledger()
        let end = world.elapsed + time
        try await withThrowingTaskGroup { group in
            for number in 0..<people {
                let host = hosts[number % hosts.count]
                group.addTask {
                    try await host.run("user \(number)") {
                        while world.elapsed < end {
                            try await visit(world, number, room: number / roomSize, until: end, ledger)
                            try await world.sleep(for: .seconds(world.random(in: 1...600)))
                        }
                    }
                }
            }
            try await group.waitForAll()
        }
        return ledger.figures
    }

    private static func visit(
        _ world: World, _ number: Int, room: Int, until end: Duration, _ ledger: Ledger
    ) async throws {
        let stream = try await TCPStream.connect("server", 7000)
        defer { stream.close() }
        ledger.figures.visits += 1
        let listening = Task {
            var heard: [Substring: Int] = [:]
            for try await line in BufferedReader(stream).lines {
                // `-- u17 left`
                if line.hasPrefix("-- u") { heard[line.dropFirst(3).prefix { $0 != " " }] = nil }
                // `u17: 4`
                let words = line.split(separator: ": ", maxSplits: 1)
                guard line.hasPrefix("u"), words.count == 2, let serial = Int(words[1]) else { continue }
                let last = heard.updateValue(serial, forKey: words[0])
                world.check(last.map { $0 + 1 == serial } ?? true, "\(words[0]) said \(serial) after \(last ?? 0)")
                ledger.figures.heard += 1
            }
        }
        try await stream.write(Array("u\(number)\n/join room-\(room)\n".utf8))
        // How often this user has spoken during this visit.
        for serial in 1...world.random(in: 10...60) where world.elapsed < end {
            try await world.sleep(for: .seconds(world.random(in: 300...3600)))
            try await stream.write(Array("\(serial)\n".utf8))
            ledger.figures.said += 1
        }
        try await stream.write(Array("/quit\n".utf8))
        _ = try? await listening.value
    }
}
