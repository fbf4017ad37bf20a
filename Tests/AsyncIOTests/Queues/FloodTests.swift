import AsyncIO
import AsyncIOKernel
import AsyncIOTestSupport
import Testing

/// A lock that one busy thread takes again and again must not keep the loop, which wants it too, from its timers.
@Suite("A flood from other threads")
struct FloodTests {
    @Test("three threads that never let a queue alone do not keep the loop from it, nor from its timers")
    func queue() async throws {
        let queue = AsyncQueue<Int>(capacity: 8)
        try await flood {
            if !queue.tryPut(1) { _ = queue.tryGet() }
        } visit: {
            _ = queue.tryPut(2)
            _ = queue.tryGet()
        }
    }

    @Test("three threads that never let a deadline alone do not keep the loop from it, nor from its timers")
    func deadline() async throws {
        let shared = Log<Deadline>()
        try await flood {
            _ = shared.all.first?.reschedule(in: .seconds(1000))
        } visit: {
            guard shared.count == 0 else { return _ = shared.all.first?.remaining }
            try await withTimeout(.seconds(1000)) { shared.add($0) }
        }
    }

    /// Visits what three threads flood, after each of many short sleeps, until that has gone well often enough.
    private func flood(
        _ body: @escaping @Sendable () -> Void, visit: @escaping @Sendable () async throws -> Void
    ) async throws {
        try await Guest.run { loop in
            let isOver = Gate()
            let threads = try (0..<3).map { _ in
                try SystemThread.start(name: "flood") { while !isOver.isOpen { body() } }
            }
            defer { isOver.open() }
            var worst = Duration.zero
            for _ in 0..<200 {
                let due = loop.now.advanced(by: .milliseconds(1))
                try await loop.sleep(until: due)
                try await visit()
                worst = max(worst, due.duration(to: loop.now))
            }
            // A fair share of a core that four threads want is some milliseconds; a starved loop is late by seconds.
            #expect(worst < .seconds(2), "late by \(worst)")
            isOver.open()
            for thread in threads { thread.join() }
        }
    }
}
