import AsyncIO
import AsyncIOTestSupport
import AsyncIOTesting
import Glibc
import Testing

/// An error with a number, to be told apart.
struct Failure: Error, Equatable { var number = 0 }

extension EventLoop {
    /// Sleeps so many milliseconds of the loop's time, and returns the number.
    func after(_ milliseconds: Int) async throws -> Int {
        try await self.sleep(for: .milliseconds(milliseconds))  // sleeps: on the loop's clock, virtual in most tests
        return milliseconds
    }

    /// Lets everybody else have several turns.
    func settle() async {
        // A simulation may let the others wait longer than that.
        if let world = World.current {
            try? await world.waitUntilIdle()
        } else {
            for _ in 0..<20 { await EventLoop.yield() }
        }
    }

    /// Time since an instant.
    func elapsed(since start: Instant) -> Duration { start.duration(to: now) }
}

/// Keeps count of who is inside.
final class Occupancy: Sendable {
    private let inside = Log<Int>()
    private let now = Counter()
    func visit<Value>(_ body: () async throws -> Value) async rethrows -> Value {
        inside.add(now.add())
        defer { now.add(-1) }
        return try await body()
    }
    var peak: Int { inside.all.max() ?? 0 }
    var current: Int { now.value }
    var visits: Int { inside.count }
}

/// Waits until cancelled, on the loop's clock.
func untilCancelled(_ loop: EventLoop) async throws {
    try await loop.sleep(until: .distantFuture)
}

/// Waits until cancelled, and then for a while longer, as clean-up does.
func deaf(_ loop: EventLoop, _ milliseconds: Int) async {
    let gate = Gate()
    _ = loop.callLater(.milliseconds(milliseconds)) { gate.open() }
    await gate.pass()
}

/// `#expect(found == wanted)` for what has to be awaited: the macro finds no room for that in a closure.
func expect<Value: Equatable>(
    _ found: Value, is wanted: Value, _ comment: Comment? = nil, at location: SourceLocation = #_sourceLocation
) {
    #expect(found == wanted, comment, sourceLocation: location)
}
