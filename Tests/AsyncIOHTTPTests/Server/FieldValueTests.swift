#if HTTP
import AsyncIO
import AsyncIOTestSupport
import Testing

@testable import AsyncIOHTTP

/// E11.
@Suite("The value of an outgoing field", .timeLimit(.minutes(10)))
struct FieldValueTests {
    @Test("is refused if it could be read as its own end", arguments: ["\r", "\n", "\0", "\r\n"])
    func refused(end: String) {
        var fields: HTTPFields = [.location: "/before"]
        let error = #expect(throws: InvalidFieldValue.self) {
            try fields.set(.location, to: "/ä\(end)Set-Cookie: a=b")
        }
        #expect(error == InvalidFieldValue(name: .location, offset: 3))
        #expect(fields[.location] == "/before")
    }

    @Test("stands in place of those before it", arguments: ["", "a", "ä\tb", " a "])
    func taken(value: String) throws {
        var fields: HTTPFields = [:]
        fields[values: .vary] = ["a", "b"]
        try fields.set(.vary, to: value)
        #expect(fields[values: .vary] == [value == " a " ? "a" : value])
    }

    @Test(
        "of a redirect and of an upgrade is an error of the program's, if it could be read as its own end",
        arguments: [
            HTTPServer.Response.redirect(to: "/\r\nSet-Cookie: a=b"),
            HTTPServer.Response.switchingProtocols(to: "x\n") { _ in },
        ])
    func responses(response: HTTPServer.Response) async throws {
        let reports = Errors()
        let answer = try await withLoop(Setting.onRealLoop[0], reports: reports) { loop in
            try await Wire.answer(to: "GET / HTTP/1.1\r\nHost: a\r\n\r\n", on: loop) { _ in response }
        }
        #expect(Wire.statuses(in: answer) == [500] && !answer.contains("Set-Cookie"))
        #expect(reports.all.contains { $0.error is InvalidFieldValue })
    }

    @Test("of a client's name is refused before anybody is connected to", arguments: Setting.onRealLoop)
    func userAgent(setting: Setting) async throws {
        var configuration = HTTPClient.Configuration()
        configuration.userAgent = "me\r\nHost: evil"
        let client = HTTPClient(configuration)
        let error = try await withLoop(setting) { _ in
            await #expect(throws: HTTPClientError.self) { try await client.get("http://127.0.0.1:9/") }
        }
        #expect(error?.reason == .invalidRequest)
    }
}
#endif
