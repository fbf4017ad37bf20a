import AsyncIO
import AsyncIOKernel
import AsyncIOTestSupport
import Testing

/// D13: what is checked must be what is looked up.
@Suite("What may be a host")
struct HostNameTests {
    /// Whoever is asked has been given something that it should never see.
    private struct Nobody: Resolver {
        func addresses(of host: String, version: SocketAddress.IPVersion?) async throws -> [SocketAddress] {
            Issue.record("\(host) was looked up")
            return [.loopback(port: 0)]
        }
    }

    struct Refusal: CustomTestStringConvertible, Sendable {
        let host: String
        let says: String
        init(_ host: String, says: String) {
            self.host = host
            self.says = says
        }
        var testDescription: String { "\(host.prefix(40).debugDescription): \(says)" }
    }

    static let refusals = [
        Refusal("", says: "the name is empty"),
        Refusal(".", says: "a dot alone"),
        Refusal("a\0b", says: "NUL byte"),
        Refusal("127.0.0.1\0.example.org", says: "NUL byte"),
        Refusal(String(repeating: "a.", count: 126) + "ab", says: "254 bytes"),
        Refusal(String(repeating: "a.", count: 150), says: "299 bytes"),
        Refusal("www." + String(repeating: "b", count: 64) + ".org", says: "has 64 bytes"),
        Refusal("a..b", says: "two dots"),
        Refusal(".a", says: "stands in front"),
        Refusal("a..", says: "two dots"),
        Refusal("http://example.org", says: "not an IPv6 address"),
        Refusal("example.org/path", says: "no '/'"),
        Refusal("user@example.org", says: "no '@'"),
        Refusal("a b", says: "no ' '"),
        Refusal("a\nb", says: "no '\\x0A'"),
        Refusal("a%lo", says: "no '%'"),
        Refusal("example.org:80", says: "not an IPv6 address"),
        Refusal("bücher.example", says: "xn--"),
        Refusal("[::1", says: "not closed"),
        Refusal("[]", says: "not closed"),
        Refusal("[127.0.0.1]", says: "leave them out"),
        Refusal("[example.org]", says: "leave them out"),
        Refusal("::1::", says: "not an IPv6 address"),
        Refusal("fe80::1%no-such-device", says: "not known on this machine"),
        // What inet_aton(3) would take for an address, and a filter of names for a name.
        Refusal("127.1", says: "2 of the 4 numbers"),
        Refusal("2130706433", says: "1 of the 4 numbers"),
        Refusal("0x7f000001", says: "not a numeric address"),
        Refusal("0x7f.0.0.0x1", says: "not a numeric address"),
        Refusal("010.0.0.1", says: "'010'"),
        Refusal("127.0.0.1.", says: "5 of the 4 numbers"),
        Refusal("256.0.0.1", says: "'256'"),
        Refusal("1.2.3.4.5", says: "5 of the 4 numbers"),
        Refusal("example.0x", says: "not a numeric address"),
    ]

    @Test("nothing that is no host is looked up, and the error names it", arguments: refusals)
    func refused(refusal: Refusal) async throws {
        let error = await #expect(throws: ResolutionError.self) { try await lookUp(refusal.host, resolver: Nobody()) }
        #expect(error?.reason == .invalidName)
        #expect(error?.isTemporary == false)
        let text = try #require(error.map { "\($0)" })
        #expect(text.contains(refusal.says), "\(text)")
        #expect(text.hasPrefix("resolve '\(refusal.host.prefix { $0.isLetter || $0.isNumber })"), "\(text)")
        #expect(text.utf8.allSatisfy { $0 >= 0x20 } && text.utf8.count < 600, "\(text)")
    }

    @Test(
        "names up to the limits are looked up as they are",
        arguments: [
            "localhost", "a", "EXAMPLE.org", "example.org.", "xn--bcher-kva.example", "_srv._tcp.example", "3com.com",
            "0xyz", "a-1", "1.2.3.4a", "face", "0xen",
            String(repeating: "a.", count: 126) + "a", String(repeating: "a.", count: 126) + "a.",
            String(repeating: "b", count: 63) + ".org",
        ])
    func accepted(host: String) async throws {
        var resolver = StaticResolver()
        resolver[host] = .addresses([.loopback(port: 0)])
        #expect(try await lookUp(host, 7, resolver: resolver) == [.loopback(port: 7)])
    }

    @Test(
        "an address in numbers is its own answer, without a suspension",
        arguments: [
            ("127.0.0.1", "127.0.0.1:80"), ("::1", "[::1]:80"), ("[::1]", "[::1]:80"), ("fe80::1%lo", "[fe80::1%1]:80"),
            ("[fe80::1%lo]", "[fe80::1%1]:80"), ("::ffff:1.2.3.4", "[::ffff:1.2.3.4]:80"), ("0.0.0.0", "0.0.0.0:80"),
        ])
    func numeric(host: String, expected: String) async throws {
        try await Guest.run { loop async throws in
            // A suspension would let this job run first.
            let others = Counter()
            loop.callSoon { others.add() }
            #expect(try await lookUp(host, 80, resolver: Nobody()).map(\.description) == [expected])
            #expect(others.value == 0)
        }
    }

    @Test("an address in numbers of the other version is none")
    func otherVersion() async throws {
        for (host, version) in [("127.0.0.1", SocketAddress.IPVersion.v6), ("::1", .v4)] {
            let error = await #expect(throws: ResolutionError.self) {
                try await lookUp(host, version: version, resolver: Nobody())
            }
            #expect(error?.reason == .noAddress && error?.subject == host)
        }
    }

    @Test("no text whatsoever crashes it, and what passes is a name")
    func random() async throws {
        var random = Randomness()
        let parts = [
            "a", ".", "-", "0x", "1", "[", "]", ":", "%", "\0", "ü", "::", "127", "fe80", "255", " ", "\u{202e}",
        ]
        for _ in 0..<20_000 {
            let host = (0..<Int.random(in: 0...8, using: &random)).map { _ in parts.randomElement(using: &random) ?? ""
            }
            .joined()
            var resolver = StaticResolver()
            resolver[host] = .addresses([.loopback(port: 1)])
            do {
                let found = try await lookUp(host, resolver: resolver)
                if found == [.loopback(port: 1)] {
                    #expect(host.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7f }, "\(host.debugDescription) \(random.note)")
                }
            } catch let error as ResolutionError {
                #expect(error.reason == .invalidName, "\(host.debugDescription) \(random.note)")
            }
        }
    }
}
