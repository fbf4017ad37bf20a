import AsyncIO
import AsyncIOKernel
import AsyncIOLoop
import AsyncIOTestSupport
import AsyncIOTesting
import AsyncIOTestingTraits
import Testing

@Suite("Traits: a whole suite in virtual time", .virtualTime)
struct VirtualSuiteTests {
    @Test("each test has a clock of its own, which jumps")
    func clock() async throws {
        let time = try VirtualTime.current
        #expect(time.elapsed == .zero && time.mode == .jumps)
        try await time.loop.sleep(for: .seconds(86_400))
        #expect(time.elapsed == .seconds(86_400))
    }

    @Test("arguments have loops of their own", arguments: 1...5)
    func arguments(hours: Int) async throws {
        let time = try VirtualTime.current
        #expect(EventLoop.current === time.loop)
        async let one: Void = time.loop.sleep(for: .seconds(3_600 * hours))
        async let two: Void = time.loop.sleep(for: .seconds(3_600))
        _ = try await (one, two)
        #expect(time.elapsed == .seconds(3_600 * hours))
    }

    @Test("a trait of the test goes before that of its suite", .virtualTime(.onRequest))
    func onRequest() async throws {
        let time = try VirtualTime.current
        #expect(time.mode == .onRequest)
        try await time.advance(by: .seconds(5))
        #expect(time.elapsed == .seconds(5))
    }
}

@Suite("Traits: a test on a real loop")
struct EventLoopTraitTests {
    @Test("the test runs on the loop", .eventLoop())
    func runs() async throws {
        #expect(EventLoop.current != nil)
        #expect(throws: EventLoopError.noLoop) { try VirtualTime.current }
        let listener = try await TCPListener.bind("127.0.0.1", 0)
        let client = try await TCPStream.connect(to: listener.address)
        let server = try await listener.accept()
        try await client.write("hello")
        #expect(try await server.read() == Array("hello".utf8))
        listener.close()
    }

    @Test("the driver can be chosen", .eventLoop(driver: .epoll))
    func driver() async throws {
        #expect(EventLoop.current?.driverName == "epoll")
    }

    @Test("issues belong to the test, and confirmations count", .virtualTime)
    func issues() async throws {
        withKnownIssue { Issue.record("known") }
        try await confirmation(expectedCount: 2) { confirm in
            let time = try VirtualTime.current
            for _ in 0..<2 {
                try await time.loop.sleep(for: .seconds(1))
                confirm()
            }
        }
    }
}
