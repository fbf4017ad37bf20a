import AsyncIOKernel
import AsyncIOLoop
import AsyncIOTestSupport
import Testing

/// Those who watch a loop are told without being retained.
@Suite("Who watches a loop")
struct AudienceTests {
    @Test("may leave while it is told something: the others are told as well, and all of them are let go of")
    func leaving() async throws {
        let log = Log<String>()
        try await Guest.run(.guest()) { loop in
            // The loop alone has them.
            loop.instrument = Note(log)
            loop.watcher = Leaver(loop, log)
            await EventLoop.yield()
            log.add("left")
            await EventLoop.yield()
        }
        let told = log.all
        let leaves = try #require(told.firstIndex(of: "leaves"))
        #expect(told[(leaves + 1)...].first == "told", "what has begun is told to the end")
        #expect(told[(leaves + 2)...].prefix(2).sorted() == ["instrument gone", "watcher gone"], "\(told)")
        #expect(try #require(told.firstIndex(of: "watcher gone")) < #require(told.firstIndex(of: "left")))
    }

    private final class Note: Instrument {
        private let log: Log<String>
        init(_ log: Log<String>) { self.log = log }
        deinit { log.add("instrument gone") }
        func record(_ event: LoopEvent, at instant: Instant) { log.add("told") }
    }

    /// Ends all watching as soon as a job begins.
    private final class Leaver: JobWatcher {
        private let loop: EventLoop
        private let log: Log<String>
        init(_ loop: EventLoop, _ log: Log<String>) { (self.loop, self.log) = (loop, log) }
        deinit { log.add("watcher gone") }

        func willRun(_ job: UnsafeMutableRawPointer, _ task: TaskID, queued: Instant, at instant: Instant) {
            log.add("leaves")
            loop.watcher = nil
            loop.instrument = nil
        }

        func queued(_ job: UnsafeMutableRawPointer, _ task: TaskID, at instant: Instant) {}
        func waits(for operation: OperationID, _ name: String, _ descriptor: CInt) {}
        func waits(at place: (any WaitingPlace)?, as visitor: Int) {}
        func didRun(at instant: Instant) {}
        func willCall(at instant: Instant) {}
        func didCall(at instant: Instant) {}
        func turns(at instant: Instant) {}
        func asksDriver(until deadline: Instant?, at instant: Instant) {}
    }
}
