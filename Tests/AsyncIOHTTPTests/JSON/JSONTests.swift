#if HTTP
import AsyncIO
import AsyncIOHTTP
import Testing

@Suite("JSON")
struct JSONTests {
    private struct Room: Codable, Equatable {
        struct Guest: Codable, Equatable {
            var name: String
            var age: Int
        }
        var guests: [Guest]
        var isOpen: Bool
    }

    private func request(_ text: HTTPBody, type: String? = "application/json") -> HTTPServer.Request {
        var fields = HTTPFields()
        fields[.contentType] = type
        return HTTPServer.Request(.post, "/", headerFields: fields, body: text)
    }

    @Test("values go there and back")
    func roundTrip() async throws {
        let room = Room(guests: [.init(name: "ü\"\n", age: 7)], isOpen: true)
        let response = try HTTPServer.Response.json(room, status: .created)
        #expect(response.status == .created && response.headerFields[.contentType] == "application/json")
        #expect(try await request(response.body).json() == room)
        #expect(
            try await request(response.body, type: "application/problem+JSON; charset=utf-8").json(Room.self) == room)
        #expect(try await response.body.json(Room.self) == room)
    }

    @Test(
        "what is wrong is told by its place, in JSON's words",
        arguments: [
            (
                "{\"guests\": [{\"name\": \"a\", \"age\": 1}, {\"name\": \"b\"}], \"isOpen\": true}",
                "guests[1].age is missing"
            ),
            ("{\"guests\": [{\"name\": 7, \"age\": 1}], \"isOpen\": true}", "guests[0].name should be a string"),
            (
                "{\"guests\": [{\"name\": \"a\", \"age\": \"1\"}], \"isOpen\": true}",
                "guests[0].age should be a whole number"
            ),
            (
                "{\"guests\": [{\"name\": \"a\", \"age\": null}], \"isOpen\": true}",
                "guests[0].age is null, and should be a whole number"
            ),
            ("{\"guests\": 1, \"isOpen\": true}", "guests should be an array"),
            ("{\"guests\": [], \"isOpen\": 1}", "isOpen should be true or false"),
            ("[]", "the value should be an object"), ("", "the body is not JSON"), ("{", "the body is not JSON"),
            ("\u{0}", "the body is not JSON"), (String(repeating: "[", count: 100_000), "the body is not JSON"),
        ])
    func reasons(_ text: String, _ reason: String) async throws {
        let error = await #expect(throws: HTTPError.self) { try await request(HTTPBody(text)).json(Room.self) }
        #expect(error?.status == .badRequest)
        #expect(error?.reason == reason)
    }

    @Test(
        "only what is called JSON is taken, up to a limit",
        arguments: [
            (nil, 415), ("text/plain", 415), ("application/jsonp", 415), ("application/x-www-form-urlencoded", 415),
            ("application/json, text/plain", 415), ("application/json", 413),
        ])
    func refusals(_ type: String?, _ status: Int) async throws {
        let error = await #expect(throws: HTTPError.self) {
            try await request("[1, 2, 3]", type: type).json([Int].self, upTo: 8)
        }
        #expect(error?.status.code == status)
        #expect(try await request("[1, 2, 3]").json([Int].self, upTo: 9) == [1, 2, 3])
    }
}
#endif
