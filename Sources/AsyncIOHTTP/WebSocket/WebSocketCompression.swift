#if HTTP
/// Unpacks messages (RFC 7692 section 7.2.2). Between messages it keeps no memory, unless the peer's messages refer to
/// those before them. One task uses it at a time.
final class MessageInflater: @unchecked Sendable {
    private let bits: Int
    private let forgets: Bool
    private var inflater: Inflater?

    init(bits: Int, forgets: Bool) {
        self.bits = bits
        self.forgets = forgets
    }

    /// Adds what a frame of a packed message says, and refuses at the first byte over the limit.
    func unpack(
        _ payload: [UInt8], isLast: Bool, into message: inout [UInt8], limit: Int
    ) throws(WebSocketError) {
        do throws(ContentCodingError) {
            let inflater = try unpacking()
            // The sender leaves away how every packed message ends.
            for part in isLast ? [payload, [0x00, 0x00, 0xff, 0xff]] : [payload] {
                var rest = part[...]
                while let piece = try inflater.next(&rest) {
                    guard piece.count <= limit - message.count else { throw .tooLarge(limit: limit) }
                    message += piece
                }
            }
        } catch {
            if case .tooLarge = error { throw .tooBig(limit) }
            throw WebSocketError(.invalidPayload, "\(error)")
        }
        guard isLast else { return }
        if forgets { inflater = nil } else { inflater?.startCounting() }
    }

    private func unpacking() throws(ContentCodingError) -> Inflater {
        if let inflater { return inflater }
        let new = try Inflater(.raw(windowBits: bits))
        inflater = new
        return new
    }
}

/// Packs messages (RFC 7692 section 7.2.1). As with ``MessageInflater``. One task uses it at a time.
final class MessageDeflater: @unchecked Sendable {
    /// Messages with fewer bytes are not worth it.
    let threshold: Int
    private let bits: Int
    private let level: Int
    private let forgets: Bool
    private var deflater: Deflater?

    init(bits: Int, forgets: Bool, _ options: WebSocketOptions.Compression) {
        self.bits = bits
        self.forgets = forgets
        threshold = options.threshold
        level = options.level
    }

    /// The payload of one packed message.
    func pack(_ message: [UInt8]) throws -> [UInt8] {
        let deflater = try deflater ?? Deflater(.raw(windowBits: bits), level: level)
        if !forgets { self.deflater = deflater }
        var packed = deflater.deflate(message, .sync)
        // 00 00 FF FF, which the receiver puts back.
        packed.removeLast(min(4, packed.count))
        return packed.isEmpty ? [0] : packed
    }
}

extension WebSocketAgreement {
    /// What this side packs with; nil if messages go as they are.
    func deflater(_ role: WebSocketRole, _ options: WebSocketOptions) -> MessageDeflater? {
        guard let deflate, let compression = options.compression else { return nil }
        let (bits, forgets) =
            role == .server
            ? (deflate.serverBits, deflate.serverForgets) : (deflate.clientBits, deflate.clientForgets)
        // Nobody has to remember, even where it is allowed.
        return MessageDeflater(bits: bits, forgets: forgets || !compression.keepsContext, compression)
    }

    /// What this side unpacks with.
    func inflater(_ role: WebSocketRole) -> MessageInflater? {
        guard let deflate else { return nil }
        return role == .server
            ? MessageInflater(bits: deflate.clientBits, forgets: deflate.clientForgets)
            : MessageInflater(bits: deflate.serverBits, forgets: deflate.serverForgets)
    }
}
#endif
