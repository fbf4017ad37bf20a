import AsyncIO
import AsyncIOLoop
import AsyncIOTesting
import AsyncIOXCTest
import XCTest

final class RunOnLoopTests: XCTestCase {
    func testABodyRunsOnALoopAndTheTestBlocks() throws {
        let greeting = try runOnLoop { loop in
            XCTAssertTrue(loop.isCurrent)
            let listener = try await TCPListener.bind("127.0.0.1", 0, on: loop)
            let client = try await TCPStream.connect(to: listener.address, on: loop)
            let server = try await listener.accept()
            listener.close()
            try await server.write("hello")
            return String(decoding: try await client.read() ?? [], as: UTF8.self)
        }
        XCTAssertEqual(greeting, "hello")
    }

    func testVirtualTimeBlocksTheTestForNoTime() throws {
        let elapsed = try runInVirtualTime { time in
            try await time.loop.sleep(for: .seconds(3_600))
            return time.elapsed
        }
        XCTAssertEqual(elapsed, .seconds(3_600))
    }

    func testTheBodysErrorIsThrown() {
        struct Own: Error {}
        XCTAssertThrowsError(try runOnLoop { _ in throw Own() }) { XCTAssertTrue($0 is Own) }
    }

    func testALimitEndsABodyThatWaitsForEver() {
        XCTAssertThrowsError(
            try runOnLoop(limit: .milliseconds(50)) { loop in try await loop.sleep(until: .distantFuture) }
        ) { XCTAssertEqual(($0 as? IOError)?.code, .timedOut) }
    }

    func testAnAsynchronousTestUsesTheSameFunctions() async throws {
        let elapsed = try await withVirtualTime { time in
            try await time.advance(by: .seconds(60))
            return time.elapsed
        }
        XCTAssertEqual(elapsed, .seconds(60))
    }
}
