#if HTTP
import Testing

@testable import AsyncIOHTTP

@Suite("The choice of a proxy")
struct ProxyChoiceTests {
    private func proxy(for url: String, _ environment: [String: String]) throws -> String? {
        try HTTPClient.ProxyChoice.environment.proxy(for: HTTPURL(url).origin) { environment[$0] }?.origin.description
    }

    @Test("follows the environment")
    func environment() throws {
        #expect(try proxy(for: "http://a/", ["http_proxy": "http://p:3128/"]) == "http://p:3128")
        #expect(try proxy(for: "https://a/", ["http_proxy": "http://p:3128/"]) == nil)
        #expect(try proxy(for: "https://a/", ["https_proxy": "p:3128"]) == "http://p:3128")
        #expect(try proxy(for: "https://a/", ["HTTPS_PROXY": "https://p"]) == "https://p")
        #expect(try proxy(for: "http://a/", ["http_proxy": "http://p", "HTTP_PROXY": "http://q"]) == "http://p")
        #expect(try proxy(for: "http://a/", ["ALL_PROXY": "http://p"]) == "http://p")
        #expect(try proxy(for: "http://a/", ["http_proxy": ""]) == nil)
        #expect(try proxy(for: "http://a/", [:]) == nil)
    }

    /// A web server tells a CGI program the field `Proxy` of a request as `HTTP_PROXY`.
    @Test("does not follow a field of somebody's request (httpoxy)")
    func httpoxy() throws {
        #expect(try proxy(for: "http://a/", ["HTTP_PROXY": "http://evil", "REQUEST_METHOD": "GET"]) == nil)
        #expect(try proxy(for: "http://a/", ["http_proxy": "http://p", "REQUEST_METHOD": "GET"]) == "http://p")
    }

    @Test(
        "leaves out what the list names",
        arguments: [
            ("example.org", "http://example.org/", true), ("example.org", "http://www.example.org/", true),
            (".example.org", "http://example.org/", true), ("*.example.org", "http://a.example.org/", true),
            ("example.org", "http://notexample.org/", false), ("example.org:8080", "http://example.org:8080/", true),
            ("example.org:8080", "http://example.org/", false), ("*", "http://x/", true), ("a, b", "http://b/", true),
            ("EXAMPLE.org", "http://example.org./", true), ("10.0.0.0/8", "http://10.1.2.3/", true),
            ("10.0.0.0/8", "http://11.1.2.3/", false), ("10.0.0.1", "http://10.0.0.1:99/", true),
            ("10.0.0.1:99", "http://10.0.0.1:99/", true), ("10.0.0.1:99", "http://10.0.0.1/", false),
            ("2001:db8::/32", "http://[2001:db8:1::2]/", true), ("2001:db8::/32", "http://[2001:db9::2]/", false),
            ("[2001:db8::1]:80", "http://[2001:db8::1]/", true), ("2001:db8::1", "http://[2001:db8::1]/", true),
            ("0.0.0.0/0", "http://1.2.3.4/", true), ("10.0.0.0/99", "http://10.0.0.0/", false),
            ("", "http://a/", false),
        ])
    func exceptions(list: String, url: String, isDirect: Bool) throws {
        #expect(try proxy(for: url, ["http_proxy": "http://p", "no_proxy": list]) == (isDirect ? nil : "http://p"))
    }

    @Test("never sends what is on this machine elsewhere", arguments: ["localhost", "127.0.0.1", "127.9.9.9", "[::1]"])
    func loopback(host: String) throws {
        #expect(try proxy(for: "http://\(host)/", ["http_proxy": "http://p"]) == nil)
    }

    @Test("says what is wrong with a proxy that cannot be used", arguments: ["socks5://p:1080", "http://", "p:x"])
    func wrong(text: String) throws {
        let error = try #require(throws: HTTPClientError.self) { try proxy(for: "http://a/", ["http_proxy": text]) }
        #expect(error.reason == .invalidProxy)
    }

    @Test("takes name and password for the proxy alone")
    func credentials() throws {
        let choice = HTTPClient.ProxyChoice.server(try HTTPURL("http://anna:s%3Acret@p"), except: ["b"])
        let proxy = try choice.proxy(for: HTTPURL("http://a").origin) { _ in nil }
        #expect(proxy?.authorization == "Basic YW5uYTpzOmNyZXQ=")
        #expect(try choice.proxy(for: HTTPURL("http://b").origin) { _ in nil } == nil)
    }
}
#endif
