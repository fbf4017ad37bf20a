#if HTTP
import AsyncIO
import AsyncIOHTTP
import Testing

@Suite("A router")
struct RouterTests {
    /// Says which route it was, and what it was given.
    private static func tell(_ name: String) -> HTTPServer.Handler {
        { request in
            let parameters = request.parameters.sorted { $0.key < $1.key }.map { " \($0.key)=\($0.value)" }
            return .text(name + parameters.joined())
        }
    }

    private static func router() throws -> Router {
        var router = Router()
        for pattern in [
            "/", "/rooms", "/rooms/", "/rooms/:id", "/rooms/new", "/rooms/:id/guests/:guest", "/rooms/new/guests",
            "/files/*", "/files/:name", "/files/a/b", "/café/:x", "/deep/a/b/c", "/deep/:x/b/d", "/deep/*rest",
        ] {
            try router.get(pattern, tell(pattern))
        }
        return router
    }

    @Test(
        "finds the most literal route, and gives it what its parameters stand for",
        arguments: [
            ("/", "/"), ("/rooms", "/rooms"), ("/rooms/", "/rooms/"), ("/rooms/7", "/rooms/:id id=7"),
            ("/rooms/new", "/rooms/new"), ("/rooms/new/guests/x", "/rooms/:id/guests/:guest guest=x id=new"),
            ("/rooms/new?a=/b/c", "/rooms/new"), ("/rooms/7?id=8", "/rooms/:id id=7"),
            ("/files/a", "/files/:name name=a"), ("/files/", "/files/* *="), ("/files/a/", "/files/* *=a/"),
            ("/files/a/b", "/files/a/b"), ("/files/a/b/c", "/files/* *=a/b/c"), ("/files//", "/files/* *=/"),
            ("/deep/a/b/c", "/deep/a/b/c"), ("/deep/a/b/d", "/deep/:x/b/d x=a"),
            ("/deep/a/b/e", "/deep/*rest rest=a/b/e"),
            // Encoded: each part is decoded by itself, the rest of a wildcard not at all.
            ("/rooms/a%2Fb", "/rooms/:id id=a/b"), ("/rooms/%6eew", "/rooms/new"), ("/caf%C3%A9/%3F", "/café/:x x=?"),
            ("/files/a%2fb/%20", "/files/* *=a%2fb/%20"), ("/files%2Fa", "404"), ("/rooms/a+b", "/rooms/:id id=a+b"),
            ("/rooms/%252e%252e", "/rooms/:id id=%2e%2e"), ("/rooms/...", "/rooms/:id id=..."),
            // Nobody's.
            ("/none", "404"), ("/rooms/7/", "404"), ("/rooms//guests/x", "404"), ("//rooms", "404"), ("/Rooms", "404"),
            ("/files", "404"), ("/rooms/7/guests", "404"),
            // Malformed.
            ("/rooms/%", "400"), ("/rooms/%4", "400"), ("/rooms/%zz", "400"), ("/rooms/%ff", "400"),
            ("/rooms/%00", "400"), ("/rooms/..", "400"), ("/files/../x", "400"), ("/files/%2e%2E/x", "400"),
            ("/files/.%2e", "400"), ("/./rooms", "400"), ("/files/%c0%ae", "400"), ("rooms", "400"), ("", "400"),
            ("*", "400"),
            ("/rooms/%+1", "400"), ("/rooms/% 41", "400"),
        ])
    func paths(_ target: String, _ found: String) async throws {
        let response = try await ask(try Self.router().handler, .get, target)
        #expect((response.status == .ok ? try await response.text : "\(response.status.code)") == found)
    }

    @Test("answers for the methods that it does not know, and HEAD and OPTIONS by itself")
    func methods() async throws {
        var router = Router()
        try router.get("/a", Self.tell("get"))
        try router.post("/a", Self.tell("post"))
        try router.delete("/:x", Self.tell("delete"))
        try router.put("/b", Self.tell("put"))
        try router.on(.options, "/own", Self.tell("options"))
        try router.any("/any", Self.tell("any"))
        try router.on(HTTPRequest.Method("BREW")!, "/pot", Self.tell("brew"))
        func answer(_ method: HTTPRequest.Method, _ target: String) async throws -> String {
            let response = try await ask(router.handler, method, target)
            let allow = response.headerFields[.allow].map { " \($0)" } ?? ""
            return "\(response.status.code)\(allow)" + (response.status == .ok ? " \(try await response.text)" : "")
        }
        #expect(try await answer(.head, "/a") == "200 get")
        #expect(try await answer(.post, "/a") == "200 post")
        // A route that does not know the method leaves it to one that does.
        #expect(try await answer(.delete, "/a") == "200 delete x=a")
        #expect(try await answer(.put, "/a") == "405 GET, HEAD, POST, DELETE, OPTIONS")
        #expect(try await answer(.get, "/b") == "405 PUT, DELETE, OPTIONS")
        #expect(try await answer(.head, "/b") == "405 PUT, DELETE, OPTIONS")
        #expect(try await answer(.options, "/a") == "204 GET, HEAD, POST, DELETE, OPTIONS")
        #expect(try await answer(.options, "/pot") == "204 DELETE, BREW, OPTIONS")
        #expect(try await answer(.options, "/own") == "200 options")
        #expect(try await answer(.options, "/any") == "200 any")
        #expect(try await answer(.patch, "/any") == "200 any")
        #expect(try await answer(.options, "/none/at/all") == "404")
        #expect(try await answer(.options, "*") == "204 GET, HEAD, POST, PUT, DELETE, BREW, OPTIONS")
    }

    @Test("refuses at registration what would answer the same requests, and names both")
    func conflicts() throws {
        var router = Router()
        try router.get("/rooms/:id", Self.tell(""))
        try router.post("/rooms/:name", Self.tell(""))
        try router.get("/files/*", Self.tell(""))
        let error = #expect(throws: RoutingError.self) { try router.get("/rooms/:name", Self.tell("")) }
        #expect(error == .conflict(method: .get, pattern: "/rooms/:name", existing: "/rooms/:id"))
        #expect(
            error.map(String.init(describing:))
                == "GET /rooms/:name answers the same requests as GET /rooms/:id: leave one of them")
        #expect(throws: RoutingError.self) { try router.get("/files/*rest", Self.tell("")) }
        try router.any("/rooms/:id", Self.tell(""))
        #expect(throws: RoutingError.self) { try router.any("/rooms/:x", Self.tell("")) }
    }

    @Test(
        "refuses patterns that mean nothing",
        arguments: [
            "", "rooms", "/a/*/b", "/:", "/a/:id/:id", "/:x/*x", "/..", "/a/./b", "/a?b", "/a//b", "//",
        ])
    func patterns(_ pattern: String) throws {
        var router = Router()
        #expect(throws: RoutingError.self) { try router.get(pattern, Self.tell("")) }
    }

    @Test("puts a group's prefix and middleware before its routes, outermost first, and before no others")
    func groups() async throws {
        func mark(_ name: String) -> HTTPServer.Middleware {
            { request, next in
                var response = try await next(request)
                response.body = HTTPBody("\(name)(\(try await response.text))")
                return response
            }
        }
        var router = Router()
        try router.get("/a", Self.tell("a"))
        try router.group("/x", middleware: [mark("1"), mark("2")]) { router in
            try router.get("/a", Self.tell("xa"))
            try router.get("", Self.tell("x"))
            try router.group("/:y", middleware: [mark("3")]) { try $0.get("/b", Self.tell("xyb")) }
        }
        try router.group("/notes") { try $0.get("/", Self.tell("notes")) }
        try router.get("/b", Self.tell("b"))
        for (target, text) in [
            ("/notes", "notes"),
            ("/a", "a"), ("/b", "b"), ("/x/a", "1(2(xa))"), ("/x", "1(2(x))"), ("/x/7/b", "1(2(3(xyb y=7)))"),
        ] {
            #expect(try await ask(router.handler, .get, target).text == text)
        }
        #expect(throws: CancellationError.self) { try router.group("/e") { _ in throw CancellationError() } }
        try router.get("/e", Self.tell("e"))
        #expect(try await ask(router.handler, .get, "/e").text == "e")
    }

    @Test("gives a mounted handler the targets without the prefix")
    func mounts() async throws {
        var router = Router()
        let echo: HTTPServer.Handler = { .text("\($0.method) \($0.target) \($0.parameters)") }
        try router.group("/v1") { try $0.mount("/files", echo) }
        try router.get("/v1/files/special", Self.tell("special"))
        for (target, text) in [
            ("/v1/files/", "GET / [:]"), ("/v1/files/a/b?c=/d", "GET /a/b?c=/d [:]"),
            ("/v1/files/%2F%61//", "GET /%2F%61// [:]"), ("/v1/files/special", "special"),
        ] {
            #expect(try await ask(router.handler, .get, target).text == text)
        }
        #expect(try await ask(router.handler, .post, "/v1/files/x").text == "POST /x [:]")
        let redirect = try await ask(router.handler, .get, "/v1/files?q")
        #expect(redirect.status == .permanentRedirect && redirect.headerFields[.location] == "./files/?q")
        // One router in another.
        var outer = Router()
        try outer.mount("/", router.handler)
        #expect(try await ask(outer.handler, .get, "/v1/files/a").text == "GET /a [:]")
    }

    @Test("is as fast with a path that fits everything and a thousand routes that fit nearly")
    func backtracking() async throws {
        var router = Router()
        // Every part may be literal or a parameter: 2^10 ways, all of which end in nothing.
        for bits in 0..<1_024 {
            let parts = (0..<10).map { bits >> $0 & 1 == 0 ? "a" : ":p\($0)" }
            try router.get("/" + parts.joined(separator: "/") + "/end", Self.tell("\(bits)"))
        }
        let path = "/" + Array(repeating: "a", count: 10).joined(separator: "/")
        #expect(try await ask(router.handler, .get, path + "/end").text == "0")
        #expect(try await ask(router.handler, .get, path + "/other").status == .notFound)
    }
}

@Suite("A query")
struct QueryTests {
    @Test(
        "is taken apart as forms are",
        arguments: [
            ("/", []), ("/?", []), ("/?a", [("a", "")]), ("/?a=", [("a", "")]), ("/?=b", [("", "b")]),
            ("/?a=b=c", [("a", "b=c")]), ("/?a=1&a=2&b=3", [("a", "1"), ("a", "2"), ("b", "3")]),
            ("/?&&a=1&", [("a", "1")]), ("/?a=b+c%2B", [("a", "b c+")]), ("/?%61%3D=%26", [("a=", "&")]),
            ("/?a=?&b=/", [("a", "?"), ("b", "/")]), ("/?%F0%9F%90%A6=x;y", [("🐦", "x;y")]), ("/?a=%00", [("a", "\0")]),
        ] as [(String, [(String, String)])])
    func parsing(_ target: String, _ items: [(String, String)]) throws {
        let query = try HTTPServer.Request(.get, target).query
        #expect(query.map { [$0.name, $0.value] } == items.map { [$0.0, $0.1] })
        // What is written is read again.
        #expect(try Query(query.encoded) == query)
    }

    @Test("answers by name: the first, or all")
    func names() throws {
        let query = try HTTPServer.Request(.get, "/a?x=1&y=2&x=3").query
        #expect(query["x"] == "1" && query["z"] == nil)
        #expect(query.values(of: "x") == ["1", "3"] && query.values(of: "z") == [])
    }

    @Test("that is malformed is a bad request", arguments: ["%", "a=%4", "%xx=1", "a=%FF", "a=%C3", "a=%u0041"])
    func malformed(_ text: String) {
        let error = #expect(throws: HTTPError.self) { try HTTPServer.Request(.get, "/?\(text)").query }
        #expect(error?.status == .badRequest)
    }

    @Test("has at most so many items")
    func limit() throws {
        #expect(try Query("a&b&c", limit: 3).count == 3)
        #expect(throws: HTTPError.self) { try Query("a&b&c", limit: 2) }
    }
}
#endif
