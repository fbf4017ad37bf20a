import AsyncIO
import AsyncIOTestSupport
import Testing

/// What an optimized build makes of actors: they return to their own executor only when they have to, which may be
/// between the start of an operation and the wait for it.
@Suite("An actor's input and output")
struct ActorTests {
    private actor OnLoop: LoopActor {
        nonisolated let loop: EventLoop
        init(_ loop: EventLoop) { self.loop = loop }
        private(set) var count = 0

        func echo(_ stream: TCPStream) async throws {
            while let bytes = try await stream.read() {
                count += bytes.count
                try await stream.write(bytes)
            }
        }
    }

    private actor Anywhere {
        private(set) var count = 0

        func echo(_ stream: TCPStream) async throws {
            while let bytes = try await stream.read() {
                count += bytes.count
                try await stream.write(bytes)
            }
        }
    }

    @Test("an actor that lives on the loop reads and writes in turns with others", arguments: Setting.everywhere)
    func onLoop(setting: Setting) async throws {
        try await exchange(setting) { stream, loop in
            let actor = OnLoop(loop)
            try await actor.echo(stream)
            return await actor.count
        }
    }

    @Test("so does one that lives nowhere in particular", arguments: Setting.everywhere)
    func anywhere(setting: Setting) async throws {
        try await exchange(setting) { stream, _ in
            let actor = Anywhere()
            try await actor.echo(stream)
            return await actor.count
        }
    }

    @Test("so does the main actor", arguments: Setting.everywhere)
    func onMain(setting: Setting) async throws {
        try await exchange(setting) { stream, _ in try await Self.mainEcho(stream) }
    }

    @MainActor
    private static func mainEcho(_ stream: TCPStream) async throws -> Int {
        var count = 0
        while let bytes = try await stream.read() {
            count += bytes.count
            try await stream.write(bytes)
        }
        return count
    }

    private func exchange(
        _ setting: Setting, _ serve: @escaping @Sendable (TCPStream, EventLoop) async throws -> Int
    ) async throws {
        try await withLoop(setting) { loop in
            try await withThrowingTaskGroup { group in
                for _ in 0..<10 {
                    let connection = try await Connection(on: loop)
                    group.addTask { () async throws in #expect(try await serve(connection.server, loop) == 600) }
                    group.addTask {
                        for _ in 0..<200 {
                            try await connection.client.write([1, 2, 3])
                            #expect(try await connection.client.readExactly(3) == [1, 2, 3])
                        }
                        try await connection.client.closeWriting()
                    }
                }
                try await group.waitForAll()
            }
        }
    }
}
