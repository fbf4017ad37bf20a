#if HTTP
@testable import AsyncIOHTTP
import AsyncIOLoop
import AsyncIOTestSupport
import NIOCore
import NIOWebSocket
import Testing

@Suite("The life of a WebSocket")
struct WebSocketSessionTests {
    private struct Failure: Error {}

    private static var packed: WebSocketAgreement {
        WebSocketAgreement(subprotocol: nil, deflate: DeflateParameters())
    }

    @Test(
        "messages go both ways, in order and whole, packed or not", arguments: Setting.onLoop,
        [WebSocketAgreement(), packed])
    func echo(setting: Setting, agreement: WebSocketAgreement) async throws {
        let sent = (0..<60).map { number -> WebSocketMessage in
            number.isMultiple(of: 2)
                ? .text(String(repeating: "zé\(number) ", count: number * number))
                : .binary((0..<number * 50).map { UInt8(truncatingIfNeeded: $0) })
        }
        let (received, code) = try await withLoop(setting) { _ in
            let (near, far) = MemoryStream.pair(capacity: 1000)
            let server = try WebSocketSession(over: near, .server, .init(), agreement)
            let client = try WebSocketSession(over: far, .client, .init(), agreement)
            async let served: Void = server.run { socket in
                for try await message in socket { try await socket.send(message) }
            }
            let received = try await client.run { socket in
                async let sending: Void = {
                    for message in sent { try await socket.send(message) }
                }()
                var received: [WebSocketMessage] = []
                while received.count < sent.count, let message = try await socket.first(where: { _ in true }) {
                    received.append(message)
                }
                try await sending
                return received
            }
            try await served
            return (received, server.socket.ending?.code)
        }
        #expect(received == sent)
        #expect(code == .normal)
    }

    @Test("the body's end closes it: with 1000, or with 1011 if it throws", arguments: Setting.virtual, [false, true])
    func ends(setting: Setting, throwing: Bool) async throws {
        let (frames, failed) = try await withVirtualTime(setting) { _ in
            let (frames, result) = try await withPeer { _ in
                if throwing { throw Failure() }
            } _: { peer in
                let close = try await peer.next()
                try await peer.send(.connectionClose, close.unmaskedBytes)
                return [close.opcode: close.unmaskedBytes]
            }
            return (frames, (try? result.get()) == nil)
        }
        #expect(frames == [.connectionClose: throwing ? [3, 243] : [3, 232]])
        #expect(failed == throwing)
    }

    @Test("pings are answered with what they carried, also while the body does nothing", arguments: Setting.virtual)
    func pings(setting: Setting) async throws {
        let answers = try await withVirtualTime(setting) { _ in
            try await withPeer { socket in
                for try await _ in socket {}
            } _: { peer in
                var answers: [[UInt8]] = []
                for payload in [[], [1, 2, 3], [UInt8](repeating: 9, count: 125)] as [[UInt8]] {
                    try await peer.send(.ping, payload)
                    let pong = try await peer.next()
                    if pong.opcode == .pong { answers.append(pong.unmaskedBytes) }
                }
                try await peer.sayGoodBye()
                return answers
            }.0
        }
        #expect(answers == [[], [1, 2, 3], [UInt8](repeating: 9, count: 125)])
    }

    @Test(
        "the peer's close ends the messages, is answered, and nothing can be sent behind it", arguments: Setting.virtual
    )
    func closedByPeer(setting: Setting) async throws {
        let (answer, ending, late) = try await withVirtualTime(setting) { _ in
            let seen = Locked<(WebSocketError?, (any Error)?)>((nil, nil))
            let (answer, _) = try await withPeer { socket in
                for try await _ in socket {}
                do { try await socket.send("late") } catch { seen.withLock { $0.1 = error } }
                seen.withLock { $0.0 = socket.ending }
            } _: { peer in
                try await peer.send(.connectionClose, [3, 233, 98, 121, 101])
                return try await peer.next()
            }
            let (ending, late) = seen.withLock { $0 }
            return (answer.unmaskedBytes, ending, late as? WebSocketError)
        }
        #expect(answer == [3, 233])
        #expect(ending == WebSocketError(.goingAway, "bye", isByPeer: true))
        #expect(late == ending)
    }

    @Test(
        "a peer that breaks the rules is told with which code, and the body's messages throw",
        arguments: Setting.virtual)
    func broken(setting: Setting) async throws {
        let (close, error) = try await withVirtualTime(setting) { _ in
            let (close, result) = try await withPeer { socket in
                for try await _ in socket {}
            } _: { peer in
                try await peer.send(.continuation, [1])
                return try await peer.next()
            }
            var thrown: WebSocketError?
            do { try result.get() } catch { thrown = error as? WebSocketError }
            return (close.unmaskedBytes.prefix(2), thrown)
        }
        #expect(close == [3, 234])
        #expect(error?.code == .protocolError)
    }

    @Test("a peer that vanishes cancels the body", arguments: Setting.virtual)
    func vanishes(setting: Setting) async throws {
        let (wasCancelled, code) = try await withVirtualTime(setting) { loop in
            let seen = Locked<(Bool, WebSocketCloseCode?)>((false, nil))
            _ = try await withPeer { socket in
                do {
                    try await loop.sleep(for: .seconds(1000))
                } catch {
                    seen.withLock { $0 = (error is CancellationError, socket.ending?.code) }
                }
            } _: { peer in
                peer.stream.abort()
            }
            return seen.withLock { $0 }
        }
        #expect(wasCancelled)
        #expect(code == .abnormal)
    }

    @Test("a silent peer is asked after 20 s, and broken off 20 s later", arguments: Setting.virtual)
    func silent(setting: Setting) async throws {
        let (waited, opcode) = try await withVirtualTime(setting) { loop in
            let start = loop.now
            let (opcode, _) = try await withPeer { socket in
                for try await _ in socket {}
            } _: { peer in
                let opcode = try await peer.next().opcode
                // Until the stream breaks.
                _ = try? await peer.next()
                return opcode
            }
            return (start.duration(to: loop.now), opcode)
        }
        #expect(opcode == .ping)
        #expect(waited == .seconds(40))
    }

    @Test("a slow body is not taken for a silent peer", arguments: Setting.virtual)
    func slowBody(setting: Setting) async throws {
        let (count, code) = try await withVirtualTime(setting) { loop in
            let seen = Locked<(Int, WebSocketCloseCode?)>((0, nil))
            _ = try await withPeer { socket in
                for try await message in socket {
                    if message != .binary([4]) { try await loop.sleep(for: .seconds(100)) }
                    seen.withLock { $0.0 += 1 }
                }
                seen.withLock { $0.1 = socket.ending?.code }
            } _: { peer in
                for number in UInt8(0)..<5 { try await peer.send(.binary, [number]) }
                while true {
                    let frame = try await peer.next()
                    if frame.opcode == .ping { try await peer.send(.pong, frame.unmaskedBytes) }
                    if seen.withLock({ $0.0 }) >= 4 { break }
                }
                try await peer.sayGoodBye()
            }
            return seen.withLock { $0 }
        }
        #expect(count == 5)
        #expect(code == .normal)
    }

    @Test("a peer that does not say good-bye is broken off after 10 s", arguments: Setting.virtual)
    func rude(setting: Setting) async throws {
        let waited = try await withVirtualTime(setting) { loop in
            let start = loop.now
            _ = try await withPeer { _ in
            } _: { peer in
                _ = try await peer.next()
                _ = try? await peer.next()
            }
            return start.duration(to: loop.now)
        }
        #expect(waited == .seconds(10))
    }

    @Test("a body that does not end after the peer's good-bye is cancelled after 10 s", arguments: Setting.virtual)
    func lingering(setting: Setting) async throws {
        let waited = try await withVirtualTime(setting) { loop in
            let start = loop.now
            _ = try await withPeer { _ in
                try await loop.sleep(for: .seconds(1000))
            } _: { peer in
                try await peer.sayGoodBye()
            }
            return start.duration(to: loop.now)
        }
        #expect(waited == .seconds(10))
    }

    @Test("a message in parts is not mixed with others", arguments: Setting.virtual)
    func parts(setting: Setting) async throws {
        let frames = try await withVirtualTime(setting) { loop in
            try await withPeer { socket in
                let (sender, receiver) = Channel<[UInt8]>.make(capacity: 1)
                async let inParts: Void = socket.send(parts: receiver, asText: true)
                try await sender.send(Array("a".utf8))
                try await loop.sleep(for: .seconds(1))
                async let other: Void = socket.send([7])
                try await loop.sleep(for: .seconds(1))
                try await sender.send(Array("b".utf8))
                sender.finish()
                try await inParts
                try await other
            } _: { peer in
                var frames: [String] = []
                for _ in 0..<4 {
                    let frame = try await peer.next()
                    frames.append("\(frame.opcode) \(frame.fin) \(frame.unmaskedBytes)")
                }
                _ = try await peer.next()
                try await peer.sayGoodBye()
                return frames
            }.0
        }
        let expected: [WebSocketFrame] = [
            .init(fin: false, opcode: .text, data: .init(bytes: [97])),
            .init(fin: false, opcode: .continuation, data: .init(bytes: [98])),
            .init(fin: true, opcode: .continuation, data: .init()),
            .init(fin: true, opcode: .binary, data: .init(bytes: [7])),
        ]
        #expect(frames == expected.map { "\($0.opcode) \($0.fin) \($0.unmaskedBytes)" })
    }

    @Test("a ping of ours tells how long its answer took", arguments: Setting.virtual)
    func roundTrip(setting: Setting) async throws {
        let took = try await withVirtualTime(setting) { loop in
            let took = Locked<Duration?>(nil)
            _ = try await withPeer { socket in
                let duration = try await socket.ping()
                took.withLock { $0 = duration }
            } _: { peer in
                let ping = try await peer.next()
                try await loop.sleep(for: .milliseconds(30))
                try await peer.send(.pong, [1, 1, 1])
                try await peer.send(.pong, ping.unmaskedBytes)
                _ = try await peer.next()
                try await peer.sayGoodBye()
            }
            return took.withLock { $0 }
        }
        #expect(took == .milliseconds(30))
    }

    @Test("a flood of empty parts costs no memory, and the message behind it comes", arguments: Setting.virtual)
    func emptyParts(setting: Setting) async throws {
        let message = try await withVirtualTime(setting) { _ in
            let seen = Locked<WebSocketMessage?>(nil)
            _ = try await withPeer { socket in
                for try await message in socket { seen.withLock { $0 = message } }
            } _: { peer in
                try await peer.send(.text, [104], isLast: false)
                let empty = peer.frame(.continuation, [], isLast: false)
                let flood = [UInt8]((0..<1000).map { _ in empty }.joined())
                for _ in 0..<(Stress.isOn ? 1000 : 20) { try await peer.stream.write(flood) }
                try await peer.send(.continuation, [105])
                try await peer.sayGoodBye()
            }
            return seen.withLock { $0 }
        }
        #expect(message == .text("hi"))
    }
}
#endif
