#if HTTP
import HTTPTypes
import Testing

@testable import AsyncIOHTTP

@Suite("What a redirected request becomes")
struct RedirectionTests {
    private func redirected(
        _ request: HTTPClient.Request, _ status: Int, to location: String?, followed: Int = 0,
        _ policy: HTTPClient.RedirectPolicy = .follow
    ) throws -> Redirection? {
        var fields = HTTPFields()
        fields[.location] = location
        return try Redirection(
            of: request, status: HTTPResponse.Status(code: status), fields: fields, followed: followed, policy)
    }

    /// RFC 9110 sections 15.4.2 to 15.4.9.
    @Test(
        "its method and its body follow the rules",
        arguments: [
            (301, "GET", "GET"), (301, "POST", "GET"), (301, "PUT", "PUT"), (302, "POST", "GET"), (302, "HEAD", "HEAD"),
            (303, "POST", "GET"), (303, "PUT", "GET"), (303, "HEAD", "HEAD"), (307, "POST", "POST"),
            (308, "POST", "POST"),
            (307, "DELETE", "DELETE"),
        ])
    func methods(status: Int, before: String, after: String) throws {
        let method = try #require(HTTPRequest.Method(before))
        var request = try HTTPClient.Request(method, "http://h/a", body: "text")
        request.headerFields = [.contentType: "text/plain", .accept: "*/*"]
        let next = try #require(try redirected(request, status, to: "/b"))
        #expect(next.method.rawValue == after && next.url.description == "http://h/b")
        #expect(next.keepsBody == (before == after))
        #expect((next.fields[.contentType] != nil) == next.keepsBody && next.fields[.accept] == "*/*")
    }

    @Test(
        "other statuses, and those without a place, are responses like others",
        arguments: [200, 300, 304, 305, 306, 404])
    func others(status: Int) throws {
        #expect(try redirected(HTTPClient.Request(.get, "http://h/"), status, to: "/b") == nil)
        #expect(try redirected(HTTPClient.Request(.get, "http://h/"), 302, to: nil) == nil)
        #expect(try redirected(HTTPClient.Request(.get, "http://h/"), 302, to: "/b", .never) == nil)
    }

    /// E14.
    @Test(
        "credentials stay with the scheme, host and port that they were meant for",
        arguments: [
            ("/b", true), ("http://h/b", true), ("http://H:80/b", true), ("http://h:81/b", false),
            ("http://h2/b", false),
            ("http://sub.h/b", false), ("https://h/b", false), ("//evil/b", false), ("http://h@evil/", false),
        ])
    func credentials(location: String, stay: Bool) throws {
        var request = try HTTPClient.Request(.get, "http://h/a")
        let own = try #require(HTTPField.Name("X-API-Key"))
        request.headerFields = [
            .authorization: "Bearer 1", .cookie: "a=1", .proxyAuthorization: "Basic 1", .host: "virtual", own: "1",
            .accept: "*/*",
        ]
        let policy = HTTPClient.RedirectPolicy(secretFields: [own])
        let next = try #require(try redirected(request, 302, to: location, policy))
        for name in [HTTPField.Name.authorization, .cookie, .proxyAuthorization, .host, own] {
            #expect((next.fields[name] != nil) == stay, "\(name)")
        }
        #expect(next.fields[.accept] == "*/*" && next.url.userInfo == nil)
    }

    @Test("it does not go from https to http, unless that is allowed")
    func downgrade() throws {
        let request = try HTTPClient.Request(.get, "https://h/")
        let error = try #require(throws: HTTPClientError.self) { try redirected(request, 302, to: "http://h/") }
        #expect(error.reason == .redirectRefused)
        let allowed = HTTPClient.RedirectPolicy(allowsDowngrade: true)
        #expect(try redirected(request, 302, to: "http://h/", allowed)?.url.description == "http://h/")
    }

    @Test(
        "it goes to no other scheme and to no nonsense", arguments: ["file:///etc/passwd", "javascript:1", "http://"])
    func nonsense(location: String) throws {
        let request = try HTTPClient.Request(.get, "http://h/")
        var fields = HTTPFields()
        fields[.location] = location
        let error = try #require(throws: HTTPClientError.self) {
            try Redirection(of: request, status: .found, fields: fields, followed: 0, .follow)
        }
        #expect(error.reason == .redirectRefused)
    }

    @Test("a circle ends")
    func circle() throws {
        let request = try HTTPClient.Request(.get, "http://h/")
        #expect(try redirected(request, 302, to: "/", followed: 9) != nil)
        let error = try #require(throws: HTTPClientError.self) { try redirected(request, 302, to: "/", followed: 10) }
        #expect(error.reason == .tooManyRedirects)
    }

    @Test("a body that has been used up is not sent again; it can be left out")
    func usedBody() throws {
        let request = try HTTPClient.Request(.post, "http://h/", body: HTTPBody { _ in })
        let error = try #require(throws: HTTPClientError.self) { try redirected(request, 307, to: "/b") }
        #expect(error.reason == .redirectRefused)
        #expect(try redirected(request, 303, to: "/b")?.keepsBody == false)
    }

    @Test("the fragment goes along, unless there is a new one")
    func fragments() throws {
        let request = try HTTPClient.Request(.get, "http://h/#old")
        #expect(try redirected(request, 302, to: "/b")?.url.description == "http://h/b#old")
        #expect(try redirected(request, 302, to: "/b#new")?.url.description == "http://h/b#new")
    }
}
#endif
