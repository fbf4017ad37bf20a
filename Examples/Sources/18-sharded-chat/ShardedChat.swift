import AsyncIO
import Glibc

/// A chat whose rooms are spread over the loops of all cores. The first line that you send names a room; what you send
/// after that goes to everybody in it, on whatever loop their connections are.
///
/// `swift run 18-sharded-chat [PORT]`; then, as often as you like, `nc 127.0.0.1 7018`. Ctrl-C ends it.
@main
struct ShardedChat {
    static func main() throws {
        let arguments = CommandLine.arguments
        let port = arguments.count > 1 ? UInt16(arguments[1]) ?? 7018 : 7018
        try EventLoop.run(options: EventLoop.Options(interrupts: [.interrupt, .terminate])) {
            let group = try LoopGroup()
            // No lock anywhere: a room lives on one loop, and a loop is one thread.
            let rooms = Sharded(over: group) { Rooms($0) }
            try await group.serve("127.0.0.1", port, onReady: say) { try await visit($0, rooms) }
            try await group.shutdown()
        }
    }

    static func visit(_ connection: TCPStream, _ rooms: Sharded<Rooms>) async throws {
        guard let first = try await connection.read() else { return }
        let room = String(decoding: first.prefix { $0 != UInt8(ascii: "\n") }, as: UTF8.self)
        let home = rooms[of: room]
        let ears = AsyncQueue<[UInt8]>(capacity: 100)
        await home.enter(room, ears)
        try? await race(
            { while let bytes = try await connection.read() { await home.say(bytes, in: room) } },
            { for try await bytes in ears { try await connection.write(bytes) } },
            until: .firstToFinish)
        await home.leave(room, ears)
    }

    @Sendable static func say(_ server: TCPServer) {
        print("listening on \(server.addresses[0])")
        fflush(nil)
    }
}

/// The rooms of one loop.
actor Rooms: LoopActor {
    nonisolated let loop: EventLoop
    private var people: [String: [ObjectIdentifier: AsyncQueue<[UInt8]>]] = [:]

    init(_ loop: EventLoop) { self.loop = loop }

    func enter(_ room: String, _ ears: AsyncQueue<[UInt8]>) {
        people[room, default: [:]][ObjectIdentifier(ears)] = ears
        say(Array("now \(people[room, default: [:]].count) in \(room)\n".utf8), in: room)
    }

    func leave(_ room: String, _ ears: AsyncQueue<[UInt8]>) {
        people[room]?[ObjectIdentifier(ears)] = nil
        if people[room]?.isEmpty == true { people[room] = nil }
    }

    /// Who does not keep up misses something: nobody waits for them.
    func say(_ bytes: [UInt8], in room: String) {
        for ears in people[room, default: [:]].values { _ = ears.tryPut(bytes) }
    }
}
