#if HTTP
import CNIOSHA1
import HTTPTypes

/// What the two sides have agreed on before a WebSocket begins.
struct WebSocketAgreement: Sendable, Equatable {
    var subprotocol: String?
    /// Of permessage-deflate, if it was agreed.
    var deflate: DeflateParameters?
}

/// The parameters of permessage-deflate (RFC 7692 section 7.1).
struct DeflateParameters: Sendable, Equatable {
    var serverForgets = false
    var clientForgets = false
    var serverBits = 15
    var clientBits = 15

    /// One offer or answer of `Sec-WebSocket-Extensions`; nil if it is another extension, or not understood.
    init?(_ text: some StringProtocol, isOffer: Bool) {
        let parts = text.split(separator: ";", omittingEmptySubsequences: false).map { $0.trimmed }
        guard parts.first?.lowercased() == "permessage-deflate" else { return nil }
        var seen: Set<String> = []
        for part in parts.dropFirst() {
            let pair = part.split(separator: "=", maxSplits: 1).map { String($0).trimmed }
            guard let name = pair.first?.lowercased(), seen.insert(name).inserted else { return nil }
            let value = pair.count == 2 ? pair[1].filter { $0 != "\"" } : nil
            switch (name, value) {
            case ("server_no_context_takeover", nil): serverForgets = true
            case ("client_no_context_takeover", nil): clientForgets = true
            // A client says so that it can be told.
            case ("client_max_window_bits", nil) where isOffer: break
            case ("server_max_window_bits", let value?):
                guard let bits = Int(value), 8...15 ~= bits, value.first != "0" else { return nil }
                serverBits = bits
            case ("client_max_window_bits", let value?):
                guard let bits = Int(value), 8...15 ~= bits, value.first != "0" else { return nil }
                clientBits = bits
            default: return nil
            }
        }
        // zlib cannot pack raw data with a window of 256 bytes.
        guard serverBits > 8, clientBits > 8 else { return nil }
    }

    init() {}

    /// As it stands in the field.
    var description: String {
        var text = "permessage-deflate"
        if serverForgets { text += "; server_no_context_takeover" }
        if clientForgets { text += "; client_no_context_takeover" }
        if serverBits < 15 { text += "; server_max_window_bits=\(serverBits)" }
        if clientBits < 15 { text += "; client_max_window_bits=\(clientBits)" }
        return text
    }
}

/// The keys of the handshake (RFC 6455 section 4).
enum WebSocketKey {
    /// Sixteen random bytes, in base 64.
    static func random() -> String {
        var generator = SystemRandomNumberGenerator()
        return Base64.encode((0..<16).map { _ in UInt8.random(in: .min ... .max, using: &generator) })
    }

    /// Whether it is what a client may send.
    static func isValid(_ key: String) -> Bool { Base64.decode(key)?.count == 16 }

    /// What a server must answer.
    static func accept(_ key: String) -> String {
        let text = Array((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").utf8)
        var context = sha1_ctxt()
        var digest = [CChar](repeating: 0, count: 20)
        unsafe c_nio_sha1_init(&context)
        // Both arrays are alive for the length of the calls.
        unsafe text.withUnsafeBufferPointer { unsafe c_nio_sha1_loop(&context, $0.baseAddress, $0.count) }
        unsafe digest.withUnsafeMutableBufferPointer { digest in
            if let start = digest.baseAddress { unsafe c_nio_sha1_result(&context, start) }
        }
        return Base64.encode(digest.map { UInt8(bitPattern: $0) })
    }
}
#endif
