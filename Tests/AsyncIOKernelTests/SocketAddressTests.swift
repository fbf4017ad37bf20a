import AsyncIOKernel
import AsyncIOTestSupport
import Glibc
import SystemPackage
import Testing

@Suite("Socket addresses")
struct SocketAddressTests {
    // MARK: Printing and parsing

    @Test(
        "an address prints as people write it, and reads back as the same value",
        arguments: [
            (SocketAddress.ipv4(127, 0, 0, 1, port: 80), "127.0.0.1:80"),
            (.ipv4(255, 255, 255, 255, port: 65535), "255.255.255.255:65535"),
            (.any(port: 0), "0.0.0.0:0"),
            (.loopback(port: 443, version: .v6), "[::1]:443"),
            (.any(port: 1, version: .v6), "[::]:1"),
            (.ipv6([0xfe80, 0, 0, 0, 0, 0, 0, 1], port: 80, scope: 3), "[fe80::1%3]:80"),
            (.ipv6([0, 0, 0, 0, 0, 0xffff, 0x0a00, 0x0001], port: 80), "[::ffff:10.0.0.1]:80"),
            (.unnamedUnix, "unix:(unnamed)"),
        ])
    func roundTrip(address: SocketAddress, text: String) throws {
        #expect(address.description == text)
        #expect(try SocketAddress(parsing: text) == address)
        #expect(SocketAddress(text) == address)
    }

    @Test(
        "IPv6 is written in the canonical form of RFC 5952",
        arguments: [
            ("2001:0DB8:0:0:0:0:0:1", "2001:db8::1"), ("2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"),
            ("2001:0:0:1:0:0:0:1", "2001:0:0:1::1"), ("2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"),
            ("1:0:0:0:0:0:0:0", "1::"), ("::1.2.3.4", "::102:304"), ("1:2:3:4:5:6:7:0", "1:2:3:4:5:6:7:0"),
        ])
    func canonicalIPv6(written: String, canonical: String) throws {
        let address = try SocketAddress(host: written, port: 9)
        #expect(address.host == canonical)
        #expect(try SocketAddress(parsing: "[\(written)]:9") == address)
        #expect(try SocketAddress(parsing: address.description) == address)
    }

    @Test(
        "a Unix path or name keeps every byte, those that do not print as escapes",
        arguments: [
            ("unix:/run/app.sock", "unix:/run/app.sock"), ("unix:@name", "unix:@name"), ("unix:@", "unix:@"),
            ("unix:/tmp/Zürich 東京.sock", "unix:/tmp/Zürich 東京.sock"), ("unix:\\x40file", "unix:\\x40file"),
            ("unix:\\x28unnamed)", "unix:\\x28unnamed)"), ("unix:/a\\x5Cb", "unix:/a\\x5Cb"),
            ("unix:/a\nb\u{7f}", "unix:/a\\x0Ab\\x7F"), ("unix:@a\\x00b", "unix:@a\\x00b"),
            ("unix:/\\xff", "unix:/\\xFF"),
            ("unix:/\u{202e}\u{a0}", "unix:/\\xE2\\x80\\xAE\\xC2\\xA0"), ("unix:/q é\\xFF", "unix:/q \\xC3\\xA9\\xFF"),
            ("unix:@\u{301}a", "unix:@\u{301}a"), ("unix:\\x40\u{301}a", "unix:\\x40\u{301}a"),
        ])
    func unixEscapes(written: String, printed: String) throws {
        let address = try SocketAddress(parsing: written)
        #expect(address.family == .unix)
        #expect(Array(address.description.utf8) == Array(printed.utf8))
        #expect(try SocketAddress(parsing: printed) == address)
    }

    @Test("the interface of a scope is named or numbered, and printed by number")
    func scopes() throws {
        let number = unsafe if_nametoindex("lo")
        try #require(number > 0, "this machine has no interface lo")
        let named = try SocketAddress(parsing: "[fe80::1%lo]:80")
        #expect(try named == SocketAddress(parsing: "[fe80::1%\(number)]:80"))
        #expect(try named == SocketAddress(host: "fe80::1%lo", port: 80))
        #expect(named.description == "[fe80::1%\(number)]:80")
        #expect(named != .ipv6([0xfe80, 0, 0, 0, 0, 0, 0, 1], port: 80))
        #expect(try SocketAddress(host: "fe80::1%4294967295", port: 1).host == "fe80::1%4294967295")
    }

    @Test("random addresses survive text and the kernel's form", arguments: Randomness.seeds)
    func randomRoundTrip(seed: UInt64) throws {
        var random = Randomness(seed: seed)
        for round in 0..<2_000 {
            let address = random.address()
            let place: Comment = "seed \(seed), round \(round); repeat with ASYNCIO_SEED=\(seed)"
            #expect(try SocketAddress(parsing: address.description) == address, place)
            #expect(unsafe address.withSockaddr { unsafe SocketAddress($0, length: $1) } == address, place)
            if let port = address.port { #expect(try SocketAddress(host: address.host, port: port) == address, place) }
        }
    }

    // MARK: Refusing

    @Test("an IPv4 address is written as its numbers, with or without words before it", arguments: Randomness.seeds)
    func numbers(seed: UInt64) {
        var random = Randomness(seed: seed)
        for _ in 0..<300 {
            let bytes = (0..<4).map { _ in UInt8.random(in: 0...255, using: &random) }
            let port = UInt16.random(in: 0...UInt16.random(in: 0...UInt16.max, using: &random), using: &random)
            let address = SocketAddress.ipv4(bytes[0], bytes[1], bytes[2], bytes[3], port: port)
            let text = bytes.map(String.init).joined(separator: ".") + ":" + String(port)
            #expect(address.description == text)
            #expect(address.description(after: "connection ") == "connection " + text)
        }
        #expect(SocketAddress.unnamedUnix.description(after: "peer ") == "peer unix:(unnamed)")
        #expect(SocketAddress.loopback(port: 7, version: .v6).description(after: "") == "[::1]:7")
    }

    @Test("a bad text is refused, and the error names the value and the remedy", arguments: BadText.all)
    func badTexts(_ bad: BadText) throws {
        let error = try #require(throws: IOError.self) { try SocketAddress(parsing: bad.text) }
        #expect(error.code == (bad.code ?? .invalidArgument))
        let message = error.description
        for part in [bad.named] + bad.says { #expect(message.contains(part), "'\(message)' lacks '\(part)'") }
        #expect(SocketAddress(bad.text) == nil)
    }

    @Test(
        "a host that is not numeric, or carries more than a host, is refused by name",
        arguments: [
            "localhost", "", "127.1", "[::1]", "::1:", "1::2::3", "fe80::1%", "127.0.0.1:80", "1.2.3.4%lo", "::1\0",
        ])
    func badHosts(_ host: String) throws {
        let error = try #require(throws: IOError.self) { try SocketAddress(host: host, port: 1) }
        #expect(error.code == .invalidArgument)
        #expect(error.operation == "parse host")
        #expect(error.subject == (host == "::1\0" ? "'::1\\x00'" : "'\(host)'"))
        #expect(error.detail?.isEmpty == false)
    }

    @Test("a Unix path has 1 to 107 bytes and no NUL")
    func unixPathLimits() throws {
        let longest = String(repeating: "ü", count: 53) + "x"
        let fits = try SocketAddress.unix(path: longest)
        #expect(fits.host == longest)
        #expect(fits.pathBytes == Array(longest.utf8))
        let error = try #require(throws: IOError.self) { try SocketAddress.unix(path: longest + "y") }
        #expect(error.description.contains("108 bytes, at most 107 fit"))
        #expect(error.description.contains(longest + "y"))
        #expect(throws: IOError.self) { try SocketAddress.unix(path: "") }
        #expect(throws: IOError.self) { try SocketAddress.unix(path: "/a\0b") }
    }

    @Test("an abstract name has 0 to 107 bytes, of any value")
    func abstractLimits() throws {
        #expect(try SocketAddress.unix(abstract: "").description == "unix:@")
        #expect(try SocketAddress.unix(abstract: "a\0b").description == "unix:@a\\x00b")
        #expect(try SocketAddress.unix(abstract: String(repeating: "a", count: 107)).pathBytes == nil)
        let error = try #require(throws: IOError.self) {
            try SocketAddress.unix(abstract: String(repeating: "a", count: 108))
        }
        #expect(error.description.contains("108 bytes, at most 107 fit"))
    }

    // MARK: Properties

    @Test("an address knows its parts, and another port makes another address")
    func parts() throws {
        let path = try SocketAddress.unix(path: "/run/app.sock")
        #expect(SocketAddress.loopback(port: 80).with(port: 81) == .loopback(port: 81))
        let scoped = SocketAddress.ipv6([1, 2, 3, 4, 5, 6, 7, 8], port: 80, scope: 3)
        #expect(scoped.with(port: 81) == .ipv6([1, 2, 3, 4, 5, 6, 7, 8], port: 81, scope: 3))
        #expect(scoped.with(port: 81) != scoped)
        #expect(path.with(port: 81) == path)
        #expect(path.port == nil)
        #expect(scoped.port == 80)
        #expect([SocketAddress.any(port: 1), scoped, path].map(\.family) == [.ipv4, .ipv6, .unix])
        #expect([SocketAddress.any(port: 1), scoped, path].map(\.systemFamily) == [AF_INET, AF_INET6, AF_UNIX])
        #expect(path.host == "/run/app.sock")
        #expect(path.pathBytes == Array("/run/app.sock".utf8))
    }

    @Test(
        "loopback is what cannot leave the machine",
        arguments: [
            ("127.0.0.1:0", true), ("127.255.3.4:0", true), ("128.0.0.1:0", false), ("0.0.0.0:0", false),
            ("[::1]:0", true), ("[::2]:0", false), ("[::ffff:127.1.2.3]:0", true), ("[::ffff:128.0.0.1]:0", false),
            ("[::7f00:1]:0", false), ("[1::1]:0", false), ("unix:/a", true),
        ])
    func loopback(text: String, expected: Bool) throws {
        #expect(try SocketAddress(parsing: text).isLoopback == expected)
    }

    @Test("flow information reaches the kernel, and is no part of an address' identity")
    func flowInformation() {
        let plain = SocketAddress.ipv6([1, 2, 3, 4, 5, 6, 7, 8], port: 80)
        let flowing = SocketAddress.ipv6([1, 2, 3, 4, 5, 6, 7, 8], port: 80, flow: 0x12345)
        #expect(plain == flowing)
        #expect(Set([plain, flowing]).count == 1)
        let handed = unsafe flowing.withSockaddr { pointer, _ in
            unsafe UnsafeRawPointer(pointer).load(as: sockaddr_in6.self).sin6_flowinfo
        }
        #expect(UInt32(bigEndian: handed) == 0x12345)
        let back = unsafe flowing.withSockaddr { unsafe SocketAddress($0, length: $1) }
        let again = unsafe back?.withSockaddr { pointer, _ in
            unsafe UnsafeRawPointer(pointer).load(as: sockaddr_in6.self).sin6_flowinfo
        }
        #expect(again == handed)
    }

    @Test("an address is small enough to be stored with every connection")
    func size() {
        #expect(MemoryLayout<SocketAddress>.size <= 32)
    }
}

/// A text that is no address, and what its error has to say.
struct BadText: Sendable, CustomTestStringConvertible {
    let text: String
    /// The bad value, as the message quotes it.
    let named: String
    let says: [String]
    let code: Errno?

    var testDescription: String { text.count > 40 ? "\(text.prefix(40))…" : text }

    init(_ text: String, named: String? = nil, says: String..., code: Errno? = nil) {
        self.text = text
        self.named = "'\(named ?? text)'"
        self.says = says
        self.code = code
    }

    private static func long(_ count: Int) -> String { String(repeating: "p", count: count) }

    static let all: [BadText] = [
        BadText("", says: "empty", "write HOST:PORT"),
        BadText("\0", named: "\\x00", says: "NUL"),
        BadText("127.0.0.1:80\0", named: "127.0.0.1:80\\x00", says: "NUL"),
        BadText("unix:/a\0b", named: "unix:/a\\x00b", says: "NUL"),
        // Ports.
        BadText("127.0.0.1", says: "port is missing", "write '127.0.0.1:80'"),
        BadText("127.0.0.1:", says: "port is missing"),
        BadText("[::1]", says: "port is missing", "write '[::1]:80'"),
        BadText("[::1]:", says: "port is missing"),
        BadText("1.2.3.4:65536", named: "65536", says: "0 to 65535"),
        BadText("1.2.3.4:99999999999999999999999", named: "99999999999999999999999", says: "0 to 65535"),
        BadText("1.2.3.4:http", named: "http", says: "digits only"),
        BadText("1.2.3.4:+80", named: "+80", says: "no sign"),
        BadText("1.2.3.4:-1", named: "-1", says: "no sign"),
        BadText("1.2.3.4:080", named: "080", says: "no leading zeros"),
        BadText("1.2.3.4: 80", named: " 80", says: "digits only"),
        BadText("1.2.3.4:٨٠", named: "٨٠", says: "digits only"),
        BadText("1.2.3.4:8\u{301}", named: "8\u{301}", says: "digits only"),
        BadText("1.2.3.4:\u{301}80", named: "\u{301}80", says: "digits only"),
        BadText("[::1]:65536", named: "65536", says: "0 to 65535"),
        // IPv4 hosts.
        BadText(":80", says: "host is missing", "write '0.0.0.0:80'"),
        BadText("localhost:80", named: "localhost", says: "not a numeric address", "resolve"),
        BadText("127.1:80", named: "127.1", says: "2 of the 4 numbers"),
        BadText("2130706433:80", named: "2130706433", says: "1 of the 4"),
        BadText("1.2.3.4.5:80", named: "1.2.3.4.5", says: "5 of the 4"),
        BadText("127.0.0.01:80", named: "01", says: "no leading zeros"),
        BadText("010.0.0.1:80", named: "010", says: "no leading zeros"),
        BadText("1.2.3.256:80", named: "256", says: "0 to 255"),
        BadText("1..2.3:80", named: "", says: "'1..2.3'"),
        BadText("0x7f.0.0.1:80", named: "0x7f.0.0.1", says: "not a numeric address"),
        BadText("1.2.3.4\n:80", named: "1.2.3.4\\x0A", says: "not a numeric address"),
        // IPv6 hosts.
        BadText("[::1:80", says: "bracket is not closed"),
        BadText("::1:80", says: "brackets", "'[::1]:80'"),
        BadText("[::1]80", named: "80", says: "follows the bracket"),
        BadText("[]:80", named: "", says: "not an IPv6 address"),
        BadText("[127.0.0.1]:80", named: "127.0.0.1", says: "not an IPv6 address"),
        BadText("[1::2::3]:80", named: "1::2::3", says: "not an IPv6 address"),
        BadText("[::12345]:80", named: "::12345", says: "not an IPv6 address"),
        BadText("[[::1]:80", named: "[::1", says: "not an IPv6 address"),
        BadText("[::1]]:80", named: "]:80", says: "follows the bracket"),
        // Scopes.
        BadText("[fe80::1%]:80", says: "scope is missing"),
        BadText("[fe80::1%03]:80", named: "03", says: "no leading zeros"),
        BadText("[fe80::1%4294967296]:80", named: "4294967296", says: "4294967295"),
        BadText("[fe80::1%nosuch0]:80", named: "nosuch0", says: "not known", code: .operationNotSupportedByDevice),
        BadText(
            "[fe80::1%name-beyond-16-bytes]:80", named: "name-beyond-16-bytes", says: "ip link",
            code: .operationNotSupportedByDevice),
        // Unix paths.
        BadText("unix:", says: "path is empty", "/run/app.sock"),
        BadText("unix:\\x00name", says: "NUL"),
        BadText("unix:/a\\b", says: "begins no escape", "\\x5C"),
        BadText("unix:/a\\x4", says: "\\xNN"),
        BadText("unix:/a\\é", says: "\\xNN"),
        BadText("unix:/a\\x+4", says: "\\xNN"),
        BadText("unix:/" + long(107), says: "108 bytes", "at most 107"),
        BadText("unix:@" + long(108), says: "108 bytes", "at most 107"),
        BadText("unix:" + long(4096), named: "unix:" + long(251) + "…", says: "4096 bytes"),
    ]
}
