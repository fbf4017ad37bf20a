#if HTTP
import Testing

@testable import AsyncIOHTTP

@Suite("A URL")
struct HTTPURLTests {
    @Test(
        "is brought into its normal form",
        arguments: [
            ("http://example.org", "http://example.org/"), ("HTTP://EXAMPLE.org:80/A", "http://example.org/A"),
            ("https://example.org:443", "https://example.org/"), ("https://example.org:80/", "https://example.org:80/"),
            ("http://example.org:/x", "http://example.org/x"), ("http://h?q", "http://h/?q"),
            ("http://h#f", "http://h/#f"),
            ("http://h/a/./b/../c", "http://h/a/c"), ("http://h/../../x", "http://h/x"), ("http://h/a/..", "http://h/"),
            ("http://h/a/.", "http://h/a/"), ("http://h/%2e%2E/x", "http://h/x"), ("http://h/a//b", "http://h/a//b"),
            ("http://h/ä b?ö=\"<>", "http://h/%C3%A4%20b?%C3%B6=%22%3C%3E"), ("http://h/100%", "http://h/100%25"),
            ("http://h/%zz%41", "http://h/%25zz%41"), ("http://h/a\\b", "http://h/a%5Cb"),
            ("http://h/?a?b#c#d", "http://h/?a?b#c%23d"),
            ("http://[::0001]:8080/", "http://[::1]:8080/"), ("http://[2001:DB8::1]", "http://[2001:db8::1]/"),
            ("http://127.0.0.1:1", "http://127.0.0.1:1/"), ("http://a_b.example.", "http://a_b.example./"),
            ("http://user:secret@h/x", "http://h/x"), ("http://h/?a@b:c", "http://h/?a@b:c"),
            ("http://h/a:b", "http://h/a:b"),
            ("http://xn--mnchen-3ya.example/", "http://xn--mnchen-3ya.example/"),
        ])
    func normal(text: String, expected: String) throws {
        let url = try HTTPURL(text)
        #expect(url.description == expected)
        #expect(try HTTPURL(url.description).description == expected, "it stays what it is")
    }

    @Test(
        "is refused, with the reason, when others could read it otherwise",
        arguments: [
            ("", "no scheme"), ("example.org/x", "no scheme"), ("/x", "no scheme"), ("localhost:80/", "only http"),
            ("ftp://h/", "only http"), ("http:/h", "two slashes"), ("http:h", "two slashes"), ("http:///x", "no host"),
            ("http://:80/", "no host"), ("http://user@/", "no host"), ("http://h:0/", "port"),
            ("http://h:65536/", "port"),
            ("http://h:+1/", "port"), ("http://h:1x/", "port"), ("http://h:1:2/", "port"),
            ("http://a@b@c/", "two @"), ("http://a b/", "a ' '"), ("http://h\\@evil/", "may not stand"),
            ("http://h%41/", "a '%'"),
            ("http://münchen.de/", "xn--"), ("http://a..b/", "two dots"), ("http://./", "two dots"),
            ("http://127.1/", "address"), ("http://0x7f.0.0.1/", "address"), ("http://1.2.3.4.5/", "address"),
            ("http://2130706433/", "address"), ("http://010.0.0.1/", "address"), ("http://0x7f000001", "address"),
            ("http://[::1/", "bracket"), ("http://[::1]x/", "bracket"), ("http://[127.0.0.1]/", "brackets"),
            ("http://[fe80::1%25eth0]/", "zone"), ("http://h/\r\nX: y", "control"), ("http://h/\0", "control"),
            ("http://h/\u{7f}", "control"), ("http://us%0x:p@h/", "encoded text"), ("http://a%3Ab:c@h/", "no colon"),
            (" http://h/", "only http|scheme"), ("http://\(String(repeating: "a", count: 64)).org/", "two dots"),
        ])
    func refused(text: String, reason: String) throws {
        let error = try #require(throws: HTTPClientError.self) { try HTTPURL(text) }
        #expect(error.reason == .invalidURL)
        #expect(reason.split(separator: "|").contains { error.detail.contains($0) }, "\(error)")
    }

    /// RFC 3986 section 5.4, and what else stands in a `Location`.
    @Test(
        "is what a reference means",
        arguments: [
            ("g", "/b/c/g"), ("./g", "/b/c/g"), ("g/", "/b/c/g/"), ("/g", "/g"), ("?y", "/b/c/d;p?y"),
            ("g?y", "/b/c/g?y"),
            ("#s", "/b/c/d;p?q#s"), ("g#s", "/b/c/g#s"), (";x", "/b/c/;x"), ("", "/b/c/d;p?q"), (".", "/b/c/"),
            ("..", "/b/"),
            ("../g", "/b/g"), ("../..", "/"), ("../../../g", "/g"), ("/./g", "/g"), ("g.", "/b/c/g."),
            ("..g", "/b/c/..g"),
            ("./g/.", "/b/c/g/"), ("g/../h", "/b/c/h"), ("g;x=1/../y", "/b/c/y"), ("g?y/../x", "/b/c/g?y/../x"),
            ("ü", "/b/c/%C3%BC"),
        ])
    func resolved(reference: String, expected: String) throws {
        #expect(try HTTPURL("http://a/b/c/d;p?q").resolving(reference).description == "http://a\(expected)")
    }

    @Test("takes scheme and host from a reference that has them")
    func resolvedElsewhere() throws {
        let base = try HTTPURL("https://a/b")
        #expect(try base.resolving("//c:1/d").description == "https://c:1/d")
        #expect(try base.resolving("http://c").description == "http://c/")
        for wrong in ["javascript:alert(1)", "file:///etc/passwd", "https:x", "//", "/a\r\nb"] {
            #expect(throws: HTTPClientError.self, "\(wrong)") { try base.resolving(wrong) }
        }
    }

    @Test("keeps its password to itself")
    func secrets() throws {
        let url = try HTTPURL("https://anna:s%40cret@h/x?token=1")
        #expect(url.userInfo == HTTPURL.UserInfo(user: "anna", password: "s@cret"))
        #expect(!"\(url) \(url.subject) \(url.userInfo.map { "\($0)" } ?? "")".contains("cret"))
        #expect(!url.subject.contains("token"))
        let error = try #require(throws: HTTPClientError.self) { try HTTPURL("https://anna:secret@h:x/?token=1") }
        #expect(!"\(error)".contains("secret") && !"\(error)".contains("token"), "\(error)")
    }

    @Test("says what goes into a request")
    func parts() throws {
        let url = try HTTPURL("http://[::1]:8080/a?b#c")
        #expect(url.target == "/a?b" && url.absoluteTarget == "http://[::1]:8080/a?b")
        #expect(url.origin.authority == "[::1]:8080" && url.host == "::1" && url.port == 8080)
        #expect(try HTTPURL("https://h").origin.authorityWithPort == "h:443")
        #expect(HTTPURL.encoding("a/b?c=d&e%ü") == "a%2Fb%3Fc%3Dd%26e%25%C3%BC")
    }
}
#endif
