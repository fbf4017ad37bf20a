#if HTTP
@testable import AsyncIOHTTP
import NIOCore
import NIOWebSocket
import Testing

@Suite("What a WebSocket's frames mean")
struct WebSocketMachineTests {
    /// What a server makes of frames of its client, and with what it closes.
    private func meaning(
        of frames: [WebSocketFrame], limit: Int = 100, inflater: MessageInflater? = nil, role: WebSocketRole = .server
    ) -> ([WebSocketMachine.Event], WebSocketCloseCode?) {
        var machine = WebSocketMachine(role: role, limit: limit, inflater: inflater)
        var events: [WebSocketMachine.Event] = []
        for frame in frames {
            do throws(WebSocketError) {
                if let event = try machine.receive(frame) { events.append(event) }
            } catch {
                return (events, error.code)
            }
        }
        return (events, nil)
    }

    @Test("messages come whole, however they are cut, with control frames between their parts")
    func messages() {
        let euro: [UInt8] = [0xe2, 0x82, 0xac]
        let (events, code) = meaning(of: [
            .masked(.text, Array("hello".utf8)), .masked(.binary, []), .masked(.text, [euro[0]], isLast: false),
            .masked(.ping, [7]), .masked(.continuation, [], isLast: false), .masked(.continuation, Array(euro[1...])),
            .masked(.pong, []), .masked(.binary, [1], isLast: false), .masked(.continuation, [2]),
        ])
        #expect(code == nil)
        #expect(
            events == [
                .message(.text("hello")), .message(.binary([])), .ping([7]), .message(.text("€")), .pong([]),
                .message(.binary([1, 2])),
            ])
    }

    @Test(
        "whoever breaks the rules is closed with the code that says which",
        arguments: [
            (
                "no mask", WebSocketCloseCode.protocolError,
                [WebSocketFrame(fin: true, opcode: .text, data: ByteBuffer())]
            ),
            ("a reserved bit", .protocolError, [.masked(.text, [], bits: .rsv2)]),
            ("another one", .protocolError, [.masked(.binary, [], bits: .rsv3)]),
            ("packed without agreement", .protocolError, [.masked(.text, [], bits: .rsv1)]),
            ("a packed ping", .protocolError, [.masked(.ping, [], bits: .rsv1)]),
            ("an unknown kind of data", .protocolError, [.masked(.init(encodedWebSocketOpcode: 3), [])]),
            ("an unknown kind of control", .protocolError, [.masked(.init(encodedWebSocketOpcode: 11), [])]),
            ("nothing to go on with", .protocolError, [.masked(.continuation, [])]),
            ("a message in a message", .protocolError, [.masked(.text, [], isLast: false), .masked(.text, [])]),
            ("half a close code", .protocolError, [.masked(.connectionClose, [3])]),
            ("close code 1005", .protocolError, [.masked(.connectionClose, [3, 237])]),
            ("close code 999", .protocolError, [.masked(.connectionClose, [3, 231])]),
            ("a reason that is no text", .invalidPayload, [.masked(.connectionClose, [3, 232, 0xff])]),
            ("a text that is none", .invalidPayload, [.masked(.text, [0xc0, 0x80])]),
            ("a text cut within a character", .invalidPayload, [.masked(.text, [0xe2, 0x82])]),
            ("a text that cannot become one", .invalidPayload, [.masked(.text, [0xed, 0xa0], isLast: false)]),
            ("too much at once", .messageTooBig, [.masked(.binary, [UInt8](repeating: 0, count: 101))]),
            (
                "too much in parts", .messageTooBig,
                [
                    .masked(.binary, [UInt8](repeating: 0, count: 60), isLast: false),
                    .masked(.continuation, [UInt8](repeating: 0, count: 41), isLast: false),
                ]
            ),
        ])
    func refused(what: String, code: WebSocketCloseCode, frames: [WebSocketFrame]) {
        #expect(meaning(of: frames).1 == code, "\(what)")
    }

    @Test("exactly as much as the limit is taken")
    func limit() {
        let most = [UInt8](repeating: 5, count: 100)
        #expect(meaning(of: [.masked(.binary, most)]).0 == [.message(.binary(most))])
    }

    @Test("a server that masks is refused by its client")
    func client() {
        #expect(meaning(of: [.masked(.text, [])], role: .client).1 == .protocolError)
        let plain = WebSocketFrame(fin: true, opcode: .text, data: ByteBuffer(string: "x"))
        #expect(meaning(of: [plain], role: .client).0 == [.message(.text("x"))])
    }

    @Test("a close frame says why, or nothing")
    func closing() {
        #expect(meaning(of: [.masked(.connectionClose, [])]).0 == [.close(.none, "")])
        #expect(meaning(of: [.masked(.connectionClose, [3, 232, 98, 121, 101])]).0 == [.close(.normal, "bye")])
        #expect(meaning(of: [.masked(.connectionClose, [15, 160])]).0 == [.close(.init(rawValue: 4000), "")])
    }

    @Test("packed messages are unpacked, with what came before them or without", arguments: [false, true])
    func packed(forgets: Bool) throws {
        let deflater = MessageDeflater(bits: 15, forgets: forgets, .init())
        let text = String(repeating: "the same again, ", count: 20)
        let first = try deflater.pack(Array(text.utf8))
        let second = try deflater.pack(Array(text.utf8))
        #expect(first.count < 60)
        #expect(forgets ? first == second : second.count < first.count)
        let (events, code) = meaning(
            of: [
                .masked(.text, first, bits: .rsv1), .masked(.text, Array(second.prefix(3)), isLast: false, bits: .rsv1),
                .masked(.continuation, Array(second.dropFirst(3))), .masked(.binary, [1, 2, 3]),
            ], limit: 1000, inflater: MessageInflater(bits: 15, forgets: forgets))
        #expect(code == nil)
        #expect(events == [.message(.text(text)), .message(.text(text)), .message(.binary([1, 2, 3]))])
    }

    @Test("a bomb is refused at the limit, and what is not packed at once")
    func bombs() throws {
        let zeros = try MessageDeflater(bits: 15, forgets: true, .init()).pack([UInt8](repeating: 0, count: 10_000_000))
        let exact = try MessageDeflater(bits: 15, forgets: true, .init()).pack([UInt8](repeating: 0, count: 100))
        let inflater = MessageInflater(bits: 15, forgets: true)
        #expect(meaning(of: [.masked(.binary, zeros, bits: .rsv1)], inflater: inflater).1 == .messageTooBig)
        let fresh = MessageInflater(bits: 15, forgets: true)
        #expect(meaning(of: [.masked(.binary, exact, bits: .rsv1)], inflater: fresh).1 == nil)
        let other = MessageInflater(bits: 15, forgets: true)
        let nonsense = WebSocketFrame.masked(.binary, [0xff, 0xff, 1], bits: .rsv1)
        #expect(meaning(of: [nonsense], inflater: other).1 == .invalidPayload)
    }

    @Test("masking twice changes nothing, and once what the standard says", arguments: 0..<20)
    func masking(count: Int) {
        let plain = (0..<count).map { UInt8($0 * 7) }
        let key: [UInt8] = [1, 200, 3, 77]
        guard let mask = WebSocketMaskingKey(key).map(WebSocketMask.init) else {
            Issue.record("no mask")
            return
        }
        var bytes = plain
        mask.apply(to: &bytes)
        #expect(bytes == plain.enumerated().map { $1 ^ key[$0 % 4] })
        mask.apply(to: &bytes)
        #expect(bytes == plain)
    }

    @Test(
        "what is UTF-8 is known at each byte",
        arguments: [
            ("", true), ("aé€😀", true), ("\u{0}", true),
        ])
    func utf8(text: String, isRight: Bool) {
        for cut in 0...text.utf8.count {
            var validator = UTF8Validator()
            let bytes = Array(text.utf8)
            let isAccepted = validator.accept(bytes[..<cut]) && validator.accept(bytes[cut...])
            #expect(isAccepted == isRight && validator.isWithinCharacter != isRight)
        }
        for wrong: [UInt8] in [
            [0x80], [0xc1], [0xe0, 0x9f], [0xed, 0xa0], [0xf4, 0x90], [0xf5], [0xe2, 0x28], [0xff],
        ] {
            var validator = UTF8Validator()
            let isAccepted = validator.accept(wrong)
            #expect(!isAccepted, "\(wrong)")
        }
    }
}

extension WebSocketFrame {
    /// A client's frame.
    static func masked(
        _ opcode: WebSocketOpcode?, _ payload: [UInt8], isLast: Bool = true, bits: ReservedBits = []
    ) -> WebSocketFrame {
        let key: WebSocketMaskingKey = [9, 8, 7, 6]
        var hidden = payload
        WebSocketMask(key).apply(to: &hidden)
        var frame = WebSocketFrame(
            fin: isLast, opcode: opcode ?? .pong, maskKey: key, data: ByteBuffer(bytes: hidden))
        frame.reservedBits = bits
        return frame
    }
}
#endif
