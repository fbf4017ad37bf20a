#if HTTP
@testable import AsyncIOHTTP
import AsyncIOLoop
import AsyncIOTestSupport
import NIOCore
import NIOWebSocket
import Testing

@Suite("What waits for what in a WebSocket")
struct WebSocketPatienceTests {
    private struct Failure: Error {}

    @Test("a ping is answered between the parts of a message", arguments: Setting.virtual)
    func pingWithinParts(setting: Setting) async throws {
        let opcodes = try await withVirtualTime(setting) { loop in
            try await withPeer { socket in
                let (sender, receiver) = Channel<[UInt8]>.make(capacity: 1)
                async let inParts: Void = socket.send(parts: receiver)
                try await sender.send([1])
                try await loop.sleep(for: .seconds(100))
                sender.finish()
                try await inParts
            } _: { peer in
                var opcodes = [try await peer.next().opcode]
                try await peer.send(.ping, [7])
                while opcodes.last != .connectionClose {
                    let frame = try await peer.next()
                    opcodes.append(frame.opcode)
                    if frame.opcode == .ping { try await peer.send(.pong, frame.unmaskedBytes) }
                }
                try await peer.sayGoodBye()
                return opcodes.filter { $0 != .ping }
            }.0
        }
        #expect(opcodes == [.binary, .pong, .continuation, .connectionClose])
    }

    @Test(
        "a ping is answered within a long message, also within a long part", arguments: Setting.virtual, [false, true])
    func pingWithinMessage(setting: Setting, inParts: Bool) async throws {
        let message = (0..<1_000_000).map { UInt8(truncatingIfNeeded: $0 % 251) }
        let (opcodes, bytes) = try await withVirtualTime(setting) { _ in
            try await withPeer { socket in
                if inParts {
                    let (sender, receiver) = Channel<[UInt8]>.make(capacity: 1)
                    try await sender.send(message)
                    sender.finish()
                    try await socket.send(parts: receiver)
                } else {
                    try await socket.send(message)
                }
            } _: { peer in
                var frames = [try await peer.next()]
                try await peer.send(.ping, [7])
                while frames.last?.opcode != .connectionClose { frames.append(try await peer.next()) }
                try await peer.sayGoodBye()
                let data = frames.filter { $0.opcode == .binary || $0.opcode == .continuation }
                return (frames.map(\.opcode), data.flatMap(\.unmaskedBytes))
            }.0
        }
        #expect(bytes == message)
        // What stands in the stream's buffers goes first.
        let pong = try #require(opcodes.firstIndex(of: .pong))
        #expect(pong < 6 && opcodes.count > 15 && opcodes.first == .binary)
    }

    @Test("a message may be made of the messages that come", arguments: Setting.virtual)
    func partsOfMessages(setting: Setting) async throws {
        let frames = try await withVirtualTime(setting) { _ in
            try await withPeer { socket in
                let parts = socket.prefix(3).map { message -> [UInt8] in
                    if case .binary(let bytes) = message { bytes } else { [] }
                }
                try await socket.send(parts: parts)
            } _: { peer in
                var frames: [[UInt8]] = []
                for number in UInt8(0)..<3 {
                    try await peer.send(.ping, [number])
                    try await peer.send(.binary, [number, number])
                    for _ in 0..<2 { frames.append(try await peer.next().unmaskedBytes) }
                }
                try await peer.sayGoodBye()
                return frames
            }.0
        }
        #expect(Set(frames) == [[0], [1], [2], [0, 0], [1, 1], [2, 2]])
    }

    @Test("a peer that takes nothing is broken off after 20 s", arguments: Setting.virtual)
    func deaf(setting: Setting) async throws {
        let (waited, code) = try await withVirtualTime(setting) { loop in
            let start = loop.now
            let (near, far) = MemoryStream.pair(capacity: 1000)
            let session = try WebSocketSession(over: near, .server, .init(), WebSocketAgreement())
            let error = await Self.failure {
                try await session.run { socket in try await socket.send([UInt8](repeating: 1, count: 300_000)) }
            }
            far.close()
            return (start.duration(to: loop.now), (error as? WebSocketError)?.code)
        }
        #expect(waited == .seconds(20))
        #expect(code == .abnormal)
    }

    private static func failure(_ body: () async throws -> Void) async -> (any Error)? {
        do { try await body() } catch { return error }
        return nil
    }

    @Test("messages that nobody reads do not hold up the good-bye", arguments: Setting.virtual)
    func unread(setting: Setting) async throws {
        let (waited, isGood) = try await withVirtualTime(setting) { loop in
            let start = loop.now
            let (_, result) = try await withPeer { _ in
                try await loop.sleep(for: .seconds(1))
            } _: { peer in
                for number in UInt8(0)..<5 { try await peer.send(.binary, [number]) }
                let close = try await peer.next()
                try await peer.send(.binary, [9])
                try await peer.send(.connectionClose, close.unmaskedBytes)
            }
            return (start.duration(to: loop.now), (try? result.get()) != nil)
        }
        #expect(waited == .seconds(1))
        #expect(isGood)
    }

    @Test("a ping behind our good-bye is no failure", arguments: Setting.virtual)
    func pingBehindClose(setting: Setting) async throws {
        let ending = try await withVirtualTime(setting) { _ in
            let seen = Locked<WebSocketError?>(nil)
            _ = try await withPeer { socket in
                try await socket.close()
                for try await _ in socket {}
                seen.withLock { $0 = socket.ending }
            } _: { peer in
                _ = try await peer.next()
                try await peer.send(.ping, [1])
                try await peer.sayGoodBye()
            }
            return seen.withLock { $0 }
        }
        #expect(ending == WebSocketError(.normal, "", isByPeer: true))
    }

    @Test("a message whose parts throw ends in 1011, and no other message follows", arguments: Setting.virtual)
    func partsThrow(setting: Setting) async throws {
        let (frames, errors) = try await withVirtualTime(setting) { _ in
            let errors = Locked<[String]>([])
            let (frames, _) = try await withPeer { socket in
                let parts = AsyncThrowingStream<[UInt8], any Error> { stream in
                    stream.yield([1])
                    stream.finish(throwing: Failure())
                }
                for attempt in 0..<2 {
                    let error = await Self.failure {
                        if attempt == 0 { try await socket.send(parts: parts) } else { try await socket.send([2]) }
                    }
                    errors.withLock { $0.append(error.map { "\(type(of: $0))" } ?? "none") }
                }
            } _: { peer in
                let frames = [try await peer.next().unmaskedBytes, try await peer.next().unmaskedBytes]
                try await peer.sayGoodBye()
                return frames
            }
            return (frames, errors.withLock { $0 })
        }
        #expect(frames == [[1], [3, 243]])
        #expect(errors == ["Failure", "WebSocketError"])
    }

    @Test("what is wrong behind a good frame is told at once", arguments: Setting.virtual)
    func brokenBehindGood(setting: Setting) async throws {
        let (close, messages) = try await withVirtualTime(setting) { _ in
            let messages = Locked<[WebSocketMessage]>([])
            let (close, _) = try await withPeer { socket in
                for try await message in socket { messages.withLock { $0.append(message) } }
            } _: { peer in
                try await peer.stream.write(peer.frame(.binary, [1]) + peer.frame(.ping, [], isLast: false))
                return try await peer.next().unmaskedBytes
            }
            return (close, messages.withLock { $0 })
        }
        #expect(close.prefix(2) == [3, 234])
        #expect(messages == [.binary([1])])
    }
}
#endif
