import AsyncIOKernel
import AsyncIOTestSupport
import CAsyncIO
import Glibc
import Testing

@Suite("Socket addresses and the kernel")
struct SocketAddressSystemTests {
    @Test(
        "what a socket is bound to is what the kernel reports",
        arguments: ["127.0.0.1:0", "[::1]:0", "unix:@", "unix:"])
    @_optimize(none)  // Swift 6.3.1's optimizer crashes in this function (CopyPropagation).
    func bound(kind: String) throws {
        // Distinct names, so that runs side by side do not meet.
        let name = "asyncio-\(getpid())-\(UInt32.random(in: .min ... .max))"
        let wanted =
            switch kind {
            case "unix:@": try SocketAddress.unix(abstract: name + "\0x")
            case "unix:": try SocketAddress.unix(path: "/tmp/\(name)")
            default: try SocketAddress(parsing: kind)
            }
        let socket = Descriptor(owning: socket(wanted.systemFamily, CInt(SOCK_STREAM.rawValue), 0))
        let number = socket.number
        let result = unsafe wanted.withSockaddr { address, length in unsafe bind(number, address, length) }
        try #require(result == 0, "bind \(wanted)")
        defer { if wanted.pathBytes != nil { unsafe unlink("/tmp/\(name)") } }
        let reported = try #require(Self.name(of: number))
        let port = try reported.port.map { port in try #require(port != 0 ? port : nil) }
        #expect(reported == port.map(wanted.with(port:)) ?? wanted)
    }

    @Test("a Unix socket that was never bound has the unnamed address")
    func unbound() throws {
        let socket = Descriptor(owning: socket(AF_UNIX, CInt(SOCK_STREAM.rawValue), 0))
        #expect(Self.name(of: socket.number) == .unnamedUnix)
        #expect(unsafe SocketAddress.unnamedUnix.withSockaddr { _, length in length } == 2)
    }

    @Test("a path of 108 bytes, which has no terminator, is kept whole")
    func pathWithoutTerminator() throws {
        var raw: [UInt8] = [UInt8(AF_UNIX), 0] + Array(repeating: UInt8(ascii: "p"), count: 120)
        for length in [110, 111, 122] {
            let address = try #require(Self.address(raw, length: length))
            #expect(address.pathBytes?.count == 108)
            #expect(unsafe address.withSockaddr { _, length in length } == 110)
            #expect(unsafe address.withSockaddr { unsafe SocketAddress($0, length: $1) } == address)
        }
        raw[10] = 0
        #expect(Self.address(raw, length: 122)?.description == "unix:pppppppp")
        #expect(Self.address(raw, length: 6)?.description == "unix:pppp")
    }

    @Test("a family that is not known, or an address cut short, is no address")
    func refused() {
        let families = (0..<64).filter { ![AF_INET, AF_INET6, AF_UNIX].contains($0) }
        for family in families {
            let raw = [UInt8(family), 0] + Array(repeating: UInt8(1), count: 126)
            #expect(Self.address(raw, length: raw.count) == nil, "family \(family)")
        }
        let whole = [(AF_INET, 16), (AF_INET6, 28), (AF_UNIX, 2)]
        for (family, needed) in whole {
            let raw = [UInt8(family), 0] + Array(repeating: UInt8(1), count: 126)
            #expect(Self.address(raw, length: needed) != nil, "family \(family)")
            #expect(Self.address(raw, length: needed - 1) == nil, "family \(family)")
        }
    }

    @Test("hostile bytes of any length are read within their bounds", arguments: Randomness.seeds)
    func hostile(seed: UInt64) throws {
        var random = Randomness(seed: seed)
        for length in 0...130 {
            for round in 0..<40 {
                var raw = random.bytes(length)
                // Half of them claim a family that exists.
                if length >= 2 && round.isMultiple(of: 2) {
                    raw[0] = [UInt8(AF_INET), UInt8(AF_INET6), UInt8(AF_UNIX)][round / 2 % 3]
                    raw[1] = 0
                }
                guard let address = Self.address(raw, length: length) else { continue }
                let place: Comment = "seed \(seed), length \(length); repeat with ASYNCIO_SEED=\(seed)"
                let again = unsafe address.withSockaddr { unsafe SocketAddress($0, length: $1) }
                #expect(again == address, place)
                if address.pathBytes?.count != 108 {
                    #expect(try SocketAddress(parsing: address.description) == address, place)
                }
            }
        }
    }

    @Test("a length beyond the storage is taken as the storage's", arguments: [128, 129, 1000, socklen_t.max])
    func longLength(_ length: socklen_t) {
        var storage = sockaddr_storage()
        storage.ss_family = sa_family_t(AF_INET)
        #expect(SocketAddress(storage, length: length) == .any(port: 0))
        storage.ss_family = sa_family_t(AF_UNIX)
        #expect(SocketAddress(storage, length: length)?.host == "@" + String(repeating: "\\x00", count: 107))
    }

    /// Reads an address from memory that ends where the length does, so that a sanitizer sees every byte too far.
    private static func address(_ raw: [UInt8], length: Int) -> SocketAddress? {
        let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: length, alignment: 8)
        defer { unsafe memory.deallocate() }
        unsafe memory.copyBytes(from: raw.prefix(length))
        guard let base = memory.baseAddress else { return nil }
        return unsafe SocketAddress(base.assumingMemoryBound(to: sockaddr.self), length: socklen_t(length))
    }

    private static func name(of socket: CInt) -> SocketAddress? {
        var storage = sockaddr_storage()
        var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
        let result = unsafe withUnsafeMutablePointer(to: &storage) { pointer in
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { unsafe getsockname(socket, $0, &length) }
        }
        return result == 0 ? SocketAddress(storage, length: length) : nil
    }
}
