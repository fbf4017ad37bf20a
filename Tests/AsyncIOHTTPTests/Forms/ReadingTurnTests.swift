#if HTTP
import AsyncIO
import AsyncIOTestSupport
import Testing

@testable import AsyncIOHTTP

@Suite("A body that two tasks read", .timeLimit(.minutes(10)))
struct ReadingTurnTests {
    /// Gives its bytes when it may, and never finds out that it is read twice at a time.
    private final class SlowBody: IncomingBody {
        let isRead = Gate()
        let mayGoOn = Gate()
        private let pieces: Locked<[[UInt8]]>

        init(_ pieces: [String]) { self.pieces = Locked(pieces.map { Array($0.utf8) }) }

        var trailerFields: HTTPFields? { nil }

        func next() async throws -> [UInt8]? {
            isRead.open()
            await mayGoOn.pass()
            return pieces.withLock { $0.isEmpty ? nil : $0.removeFirst() }
        }
    }

    private static func errorCode(_ read: () async throws -> Void) async -> Errno? {
        do { try await read() } catch { return (error as? IOError)?.code }
        return nil
    }

    @Test("under a limit gives the second one an error, and the first one its bytes", arguments: Setting.onRealLoop)
    func limited(setting: Setting) async throws {
        let (text, code) = try await withLoop(setting) { _ in
            let slow = SlowBody(["hel", "lo"])
            let handler = HTTPServer.chain([HTTPServer.bodyLimit(100)]) { request in
                async let first = request.body.text()
                await slow.isRead.pass()
                let code = await Self.errorCode { _ = try await request.body.text() }
                slow.mayGoOn.open()
                return .text("\(try await first) \(code == .resourceBusy)")
            }
            let response = try await ask(handler, .post, "/", body: HTTPBody(incoming: slow, length: nil))
            let words = try await response.text.split(separator: " ")
            return (words[0], words[1])
        }
        #expect(text == "hello" && code == "true")
    }

    @Test("as a form gives the second one an error, for a part and for its content", arguments: Setting.onRealLoop)
    func form(setting: Setting) async throws {
        let (codes, content) = try await withLoop(setting) { _ in
            let slow = SlowBody(["--x\r\nContent-Disposition: form-data; name=a\r\n\r\nhel", "lo\r\n--x--\r\n"])
            let form = try Multipart(HTTPBody(incoming: slow, length: nil), boundary: "x")
            async let first = { () async throws -> String in
                var parts = form.makeAsyncIterator()
                return try await parts.next()?.body.text() ?? ""
            }()
            await slow.isRead.pass()
            let code = await Self.errorCode {
                var parts = form.makeAsyncIterator()
                _ = try await parts.next()
            }
            slow.mayGoOn.open()
            return (code, try await first)
        }
        #expect(codes == .resourceBusy && content == "hello")
    }
}
#endif
