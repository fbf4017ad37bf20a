#if HTTP
import AsyncIOLoop
import Testing

@testable import AsyncIOHTTP

@Suite("Cookies")
struct CookieTests {
    static let now: Int64 = 1_700_000_000

    private func jar(_ setCookies: [String], from url: String) throws -> CookieJar {
        let jar = CookieJar { Self.now }
        jar.store(setCookies, from: try HTTPURL(url))
        return jar
    }

    /// RFC 6265 sections 5.1.3 and 5.1.4.
    @Test(
        "go to the hosts and paths they belong to, and nowhere else",
        arguments: [
            ("a=1", "http://example.org/", "http://example.org/x/y", true),
            ("a=1", "http://example.org/", "http://www.example.org/", false),
            ("a=1; Domain=example.org", "http://www.example.org/", "http://example.org/", true),
            ("a=1; Domain=.Example.ORG", "http://www.example.org/", "http://b.c.example.org/", true),
            ("a=1; Domain=example.org", "http://example.org/", "http://www.example.org/", true),
            ("a=1; Domain=example.org", "http://example.org/", "http://notexample.org/", false),
            ("a=1; Domain=other.org", "http://example.org/", "http://other.org/", false),
            ("a=1; Domain=www.example.org", "http://example.org/", "http://www.example.org/", false),
            ("a=1; Domain=org", "http://example.org/", "http://example.org/", false),
            ("a=1; Domain=org", "http://example.org/", "http://evil.org/", false),
            ("a=1; Domain=", "http://example.org/", "http://example.org/", true),
            ("a=1; Domain=localhost", "http://localhost/", "http://localhost/", true),
            ("a=1; Domain=localhost", "http://localhost/", "http://x.localhost/", false),
            ("a=1; Domain=127.0.0.1", "http://127.0.0.1/", "http://127.0.0.1/", true),
            ("a=1; Domain=0.0.1", "http://127.0.0.1/", "http://127.0.0.1/", false),
            ("a=1", "http://h/a/b", "http://h/a/c", true), ("a=1", "http://h/a/b", "http://h/a", true),
            ("a=1", "http://h/a/b", "http://h/ab", false), ("a=1; Path=/x", "http://h/", "http://h/x", true),
            ("a=1; Path=/x", "http://h/", "http://h/xy", false), ("a=1; Path=/x/", "http://h/", "http://h/x", false),
            ("a=1; Path=x", "http://h/a/b", "http://h/a/", true),
            ("a=1; Secure", "https://h/", "https://h/", true), ("a=1; Secure", "https://h/", "http://h/", false),
            ("a=1; secure", "http://h/", "https://h/", false), ("a=1", "http://h/", "http://h:81/", true),
            ("__Host-a=1; Secure; Path=/", "https://h/", "https://h/", true),
            ("__Host-a=1; Secure", "https://h/", "https://h/", false),
            ("__Host-a=1; Secure; Path=/; Domain=e.org", "https://e.org/", "https://e.org/", false),
            ("__Secure-a=1", "https://h/", "https://h/", false),
        ])
    func places(setCookie: String, from: String, to: String, goes: Bool) throws {
        let name = String(setCookie.prefix { $0 != "=" })
        #expect(try jar([setCookie], from: from).field(for: HTTPURL(to)) == (goes ? "\(name)=1" : nil))
    }

    @Test(
        "end when they should",
        arguments: [
            ("a=1", true), ("a=1; Max-Age=10", true), ("a=1; Max-Age=0", false), ("a=1; Max-Age=-5", false),
            ("a=1; Max-Age=99999999999999999999", true), ("a=1; Max-Age=x", true), ("a=1; Max-Age=+1", true),
            ("a=1; Expires=Tue, 14 Nov 2023 22:13:21 GMT", true), ("a=1; Expires=Tue, 14 Nov 2023 22:13:19 GMT", false),
            ("a=1; Expires=Thursday, 01-Jan-70 00:00:00 GMT", false), ("a=1; Expires=never", true),
            ("a=1; Max-Age=10; Expires=Thu, 01 Jan 1970 00:00:00 GMT", true),
        ])
    func ends(setCookie: String, isThere: Bool) throws {
        #expect(try jar([setCookie], from: "http://h/").field(for: HTTPURL("http://h/")) == (isThere ? "a=1" : nil))
    }

    @Test(
        "have dates in all spellings",
        arguments: [
            ("Sun, 06 Nov 1994 08:49:37 GMT", 784_111_777), ("Sunday, 06-Nov-94 08:49:37 GMT", 784_111_777),
            ("Sun Nov  6 08:49:37 1994", 784_111_777), ("1994 6 8:49:37 november", 784_111_777),
            ("Thu, 29 Feb 2024 00:00:00 GMT", 1_709_164_800), ("1 jan 1601 0:0:0", 0), ("1 jan 1600 0:0:0", nil),
            ("32 jan 2000 0:0:0", nil), ("1 jan 2000 24:0:0", nil), ("1 jan 2000", nil), ("", nil),
            ("1 jan 99999 0:0:0", nil), ("1 jan 69 1:2:3x", 3_124_227_723),
        ] as [(String, Int64?)])
    func dates(text: String, seconds: Int64?) {
        #expect(CookieDate.seconds(text) == seconds)
    }

    @Test("are ignored when they are none", arguments: ["", "a", "=1", " ; Path=/", "a=\u{1}", "a=b\r\nc"])
    func none(setCookie: String) throws {
        #expect(try jar([setCookie], from: "http://h/").cookies.isEmpty)
    }

    @Test("come in order: longer paths first, then those that were first set; a new value keeps the place of the old")
    func order() throws {
        let jar = try jar(["a=1", "b=2; Path=/x", "c=3"], from: "http://h/")
        jar.store(["a=4"], from: try HTTPURL("http://h/"))
        #expect(jar.field(for: try HTTPURL("http://h/x/")) == "b=2; a=4; c=3")
        jar.store(["a=; Max-Age=0"], from: try HTTPURL("http://h/"))
        #expect(jar.field(for: try HTTPURL("http://h/")) == "c=3")
    }

    @Test("cost a bounded amount, whatever a server sets")
    func bounded() throws {
        let jar = CookieJar { Self.now }
        jar.store((0..<200).map { "c\($0)=1" }, from: try HTTPURL("http://h/"))
        #expect(jar.cookies.count == CookieJar.limitPerDomain)
        jar.store(["big=" + String(repeating: "x", count: Cookie.maximumSize)], from: try HTTPURL("http://h/"))
        #expect(!jar.cookies.contains { $0.name == "big" })
        for host in 0..<61 {
            jar.store((0..<50).map { "c\($0)=1" }, from: try HTTPURL("http://h\(host)/"))
        }
        #expect(jar.cookies.count == CookieJar.limit)
    }

    /// RFC 6265bis section 5.7: whoever stands between could set one otherwise that the server takes for its own.
    @Test(
        "without TLS do not stand in a secure one's place, nor end it",
        arguments: [
            ("a=2", "http://e.org/", false), ("a=; Max-Age=0", "http://e.org/", false),
            ("a=2; Domain=e.org", "http://www.e.org/", false), ("a=2; Path=/x/y", "http://e.org/", false),
            ("a=2; Path=/xy", "http://e.org/", true), ("a=2; Path=/", "http://e.org/", true),
            ("b=2; Path=/x", "http://e.org/", true), ("a=2; Path=/x", "http://f.org/", true),
            ("a=2; Path=/x", "https://e.org/", true),
        ])
    func shadowing(setCookie: String, from: String, isTaken: Bool) throws {
        let jar = try jar(["a=1; Secure; Path=/x"], from: "https://e.org/x/")
        let path = setCookie.contains("Path") ? "" : "; Path=/x"
        jar.store([setCookie + path], from: try HTTPURL(from))
        #expect(jar.cookies.contains { $0.value == "2" } == isTaken)
        // Over TLS, a server may do as it likes with its own.
        #expect(jar.cookies.contains { $0.value == "1" } == (!isTaken || !from.hasPrefix("https")))
    }

    @Test("that have ended protect nothing any more")
    func ended() throws {
        let time = Locked(Self.now)
        let jar = CookieJar { time.withLock { $0 } }
        jar.store(["a=1; Secure; Max-Age=5"], from: try HTTPURL("https://h/"))
        time.withLock { $0 += 6 }
        jar.store(["a=2"], from: try HTTPURL("http://h/"))
        #expect(jar.cookies.map(\.value) == ["2"])
    }

    @Test("of the session are forgotten with it")
    func sessions() throws {
        let jar = try jar(["a=1", "b=2; Max-Age=9"], from: "http://h/")
        jar.clear(sessionOnly: true)
        #expect(jar.cookies.map(\.name) == ["b"])
        jar.clear()
        #expect(jar.cookies.isEmpty)
    }
}
#endif
