#if HTTP
@testable import AsyncIOHTTP
import AsyncIOLoop
import AsyncIOTestSupport
import NIOWebSocket
import Testing

@Suite("A message in several frames")
struct WebSocketFragmentTests {
    /// Has frames wait: the first one of a message, and that of a ping.
    private final class GatedStream: ByteStream {
        let stream: MemoryStream
        let (sending, maySend, pinging, mayPing) = (Gate(), Gate(), Gate(), Gate())

        init(_ stream: MemoryStream) { self.stream = stream }

        func write(_ bytes: RawSpan) async throws {
            switch bytes.byteCount > 0 ? unsafe bytes.unsafeLoad(as: UInt8.self) : 0 {
            case 0x02:
                sending.open()
                await maySend.pass()
            case 0x89:
                pinging.open()
                await mayPing.pass()
            default: break
            }
            try await stream.write(bytes)
        }

        func read(upTo limit: Int) async throws -> [UInt8]? { try await stream.read(upTo: limit) }
        func read(into span: inout OutputRawSpan) async throws -> Int { try await stream.read(into: &span) }
        func write(contentsOf chunks: [[UInt8]]) async throws { try await stream.write(contentsOf: chunks) }
        func tryWrite(_ bytes: RawSpan) throws -> Int { try stream.tryWrite(bytes) }
        func closeWriting() async throws { try await stream.closeWriting() }
        func close() { stream.close() }
        func abort() { stream.abort() }
    }

    private static func failure(_ body: () async throws -> Void) async -> String {
        do { try await body() } catch { return "\(type(of: error))" }
        return "none"
    }

    @Test(
        "that is called off between two of them is followed by no other, and ends in 1011", arguments: Setting.virtual)
    func calledOff(setting: Setting) async throws {
        let (errors, frames) = try await withVirtualTime(setting) { loop in
            let (near, far) = MemoryStream.pair(capacity: 1 << 20)
            let stream = GatedStream(near)
            let errors = Log()
            let session = try WebSocketSession(over: stream, .server, .init(), WebSocketAgreement())
            async let served: Void = session.run { socket in
                let sender = loop.startTask(named: "sender") {
                    let error = await Self.failure { try await socket.send([UInt8](repeating: 1, count: 200_000)) }
                    errors.add(error)
                }
                await stream.sending.pass()
                let pinger = loop.startTask(named: "pinger") { _ = try? await socket.ping() }
                // When time goes on, everybody waits: the ping for its turn, behind the first frame.
                try await loop.sleep(for: .seconds(1))
                stream.maySend.open()
                await stream.pinging.pass()
                try await loop.sleep(for: .seconds(1))
                // And now the second frame, behind the ping.
                sender.cancel()
                await sender.value
                stream.mayPing.open()
                await pinger.value
                let error = await Self.failure { try await socket.send("x") }
                errors.add(error)
            }
            let peer = FramePeer(far)
            var frames: [String] = []
            while frames.last?.hasPrefix("close") != true {
                let frame = try await peer.next()
                switch frame.opcode {
                case .ping: try await peer.send(.pong, frame.unmaskedBytes)
                case .connectionClose: frames.append("close \(frame.unmaskedBytes)")
                default: frames.append("\(frame.opcode) \(frame.fin) \(frame.unmaskedBytes.count)")
                }
            }
            try await peer.sayGoodBye()
            try await served
            return (errors.lines, frames)
        }
        #expect(errors == ["CancellationError", "WebSocketError"])
        #expect(frames.count == 2 && frames.first?.hasSuffix("false 65522") == true)
        #expect(frames.last == "close [3, 243]")
    }

    @Test(
        "is one, wherever it is cut, packed or not", arguments: [0, 1, 65_522, 65_523, 131_044, 200_001], [false, true])
    func whole(count: Int, isPacked: Bool) async throws {
        let message = (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 2_654_435_761 >> 11) }
        let got = try await withVirtualTime(Setting.virtual[0]) { _ in
            let (near, far) = MemoryStream.pair(capacity: 1 << 16)
            let agreement = WebSocketAgreement(deflate: isPacked ? DeflateParameters() : nil)
            let server = try WebSocketSession(over: near, .server, .init(), agreement)
            let client = try WebSocketSession(over: far, .client, .init(), agreement)
            async let served: Void = server.run { socket in try await socket.send(message) }
            let got = try await client.run { socket in
                var all: [WebSocketMessage] = []
                for try await message in socket { all.append(message) }
                return all
            }
            try await served
            return got
        }
        #expect(got == [.binary(message)])
    }
}
#endif
