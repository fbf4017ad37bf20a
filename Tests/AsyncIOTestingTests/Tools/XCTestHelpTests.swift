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

    func testASimulationBlocksTheTestForNoTime() throws {
        let (elapsed, greeting) = try runInSimulation { world in
            let server = try world.addHost("server")
            try server.program {
                let connection = try await TCPListener.bind("0.0.0.0", 7).accept()
                try await connection.write("hello")
                connection.close()
            }
            try await world.sleep(for: .seconds(3_600))
            let greeting = try await TCPStream.connect("server", 7).read() ?? []
            return (world.elapsed, String(decoding: greeting, as: UTF8.self))
        }
        XCTAssertGreaterThanOrEqual(elapsed, .seconds(3_600))
        XCTAssertEqual(greeting, "hello")
    }

    func testSeedsRunOneAfterTheOtherUntilOneFails() throws {
        guard Randomness.wanted == nil else { return }
        let seeds = Notes<UInt64>()
        XCTAssertThrowsError(
            try runInSimulations(seeds: 1...10) { world in
                seeds.record(world.seed)
                world.check(world.seed != 3, "three fails")
            }
        ) { XCTAssertEqual(($0 as? SimulationFailure)?.seed, seeds.all.last) }
        XCTAssertEqual(seeds.all, [1, 2, 3])
    }

    func testAnAsynchronousTestUsesTheSameFunctions() async throws {
        let elapsed = try await withVirtualTime { time in
            try await time.advance(by: .seconds(60))
            return time.elapsed
        }
        XCTAssertEqual(elapsed, .seconds(60))
    }
}
