import AsyncIOKernel
import AsyncIOTestSupport
import Glibc

extension Randomness {
    /// The next address: of any family, with many zeros, special bytes and full lengths among them.
    mutating func address() -> SocketAddress {
        let port = UInt16.random(in: .min ... .max, using: &self)
        switch Int.random(in: 0..<4, using: &self) {
        case 0:
            let bytes = bytes(4)
            return .ipv4(bytes[0], bytes[1], bytes[2], bytes[3], port: port)
        case 1:
            var groups = InlineArray<8, UInt16>(repeating: 0)
            for index in 0..<8 where Bool.random(using: &self) {
                groups[index] = Bool.random(using: &self) ? 0xffff : .random(in: .min ... .max, using: &self)
            }
            let scope = Bool.random(using: &self) ? 0 : UInt32.random(in: .min ... .max, using: &self)
            return .ipv6(groups, port: port, scope: scope)
        default:
            return unix()
        }
    }

    private mutating func unix() -> SocketAddress {
        let alphabet: [UInt8] = Array("@(unnamed)\\x4:[]%é\u{202e}".utf8) + [0, 10, 127, 255]
        let count = Int.random(in: 0...107, using: &self)
        var name: [UInt8] = (0..<count).map { _ in
            let random = next()
            if random.isMultiple(of: 3) { return UInt8(truncatingIfNeeded: random >> 8) }
            return alphabet[Int(random >> 32) % alphabet.count]
        }
        // A path ends before its first NUL; an abstract name begins with one.
        if Bool.random(using: &self) { name.insert(0, at: 0) } else { name = Array(name.prefix { $0 != 0 }) }
        let raw = [UInt8(AF_UNIX), 0] + name
        let address = unsafe raw.withUnsafeBytes { bytes -> SocketAddress? in
            guard let base = bytes.baseAddress else { return nil }
            return unsafe SocketAddress(base.assumingMemoryBound(to: sockaddr.self), length: socklen_t(bytes.count))
        }
        return address ?? .unnamedUnix
    }
}
