#if HTTP && FUZZ
import AsyncIOTesting
import NIOCore
import NIOWebSocket

@testable import AsyncIOHTTP

/// A WebSocket's frames, plain and packed: the messages must not depend on how the bytes come.
enum FrameFuzz {
    private struct Outcome: Equatable {
        var events: [WebSocketMachine.Event] = []
        var code: WebSocketCloseCode?
    }

    static func run(_ random: inout Randomness) -> Main.Verdict {
        let role: WebSocketRole = random.chance(oneIn: 3) ? .client : .server
        let isPacked = random.chance(oneIn: 4)
        let limit = random.one(of: [0, 10, 200, 70_000])
        var bytes: [UInt8] = []
        for _ in 0..<random.number(1...5) { bytes += frame(to: role, isPacked: isPacked, &random) }
        for _ in 0..<random.number(0...3) { random.mutate(&bytes, ingredients) }
        let whole = outcome(role, limit, isPacked, [bytes])
        let cut = outcome(role, limit, isPacked, random.cut(bytes))
        guard whole == cut else {
            return .wrong("\(role), \(limit), \(isPacked): \(readable(bytes))\n  whole: \(whole)\n  cut:   \(cut)")
        }
        return whole.code == nil ? .understood : .refused
    }

    private static func outcome(
        _ role: WebSocketRole, _ limit: Int, _ isPacked: Bool, _ pieces: [[UInt8]]
    ) -> Outcome {
        let reader = WebSocketFrameReader(limit: limit)
        defer { reader.finish() }
        let inflater = isPacked ? MessageInflater(bits: 15, forgets: true) : nil
        var machine = WebSocketMachine(role: role, limit: limit, inflater: inflater)
        var outcome = Outcome()
        do {
            for piece in pieces {
                for frame in try reader.frames(in: piece) {
                    if let event = try machine.receive(frame) { outcome.events.append(event) }
                }
            }
            if let failure = reader.failure { throw failure }
        } catch {
            outcome.code = (error as? WebSocketError)?.code ?? .abnormal
        }
        return outcome
    }

    private static func frame(to role: WebSocketRole, isPacked: Bool, _ random: inout Randomness) -> [UInt8] {
        let opcode = WebSocketOpcode(encodedWebSocketOpcode: random.one(of: opcodes)) ?? .binary
        let count = random.one(of: [0, 0, 1, 2, 5, 20, 125, 126, 300])
        var payload = random.chance(oneIn: 2) ? random.bytes(count) : [UInt8](repeating: 0x61, count: count)
        if opcode == .connectionClose, random.chance(oneIn: 2) { payload = [3, 232] + payload.prefix(100) }
        let isControl = opcode == .ping || opcode == .pong || opcode == .connectionClose
        let packs = isPacked && !isControl && random.chance(oneIn: 2)
        if packs {
            let deflater = MessageDeflater(bits: 15, forgets: true, .init())
            payload = (try? deflater.pack(payload)) ?? payload
        }
        let writer = WebSocketFrameWriter(role: .server)
        var frame = writer.frame(opcode, isLast: isControl || !random.chance(oneIn: 3), isPacked: packs, payload)
        guard role == .server else { return frame }
        // Masked as a client's, by bytes that come again with the seed.
        let key = random.bytes(4)
        let start = frame.count - payload.count
        for index in payload.indices { frame[start + index] ^= key[index & 3] }
        frame[1] |= 0x80
        frame.insert(contentsOf: key, at: start)
        return frame
    }

    private static let opcodes: [UInt8] = [0, 0, 0, 1, 1, 2, 2, 8, 9, 10, 3]

    private static let ingredients: [[UInt8]] = [
        [0x80], [0x00], [0x7f], [0x7e], [0xff], [0xfe], [0x81, 0x80, 0, 0, 0, 0], [0x89, 0xff], [0x08, 0x00],
        [0x82, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], [0x82, 0xff, 0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 1],
        [0x82, 0x7f, 0, 0, 0, 0, 0x80, 0, 0, 0], [0x01, 0x81, 0, 0, 0, 0, 0xe2],
        [0xc1, 0x83, 0, 0, 0, 0, 0x4b, 0x04, 0], [0x00, 0x00, 0xff, 0xff],
    ]
}
#endif
