import AsyncIO
import AsyncIOTestSupport
import AsyncIOTesting
import Testing

@Suite("Timelines")
struct TimelineTests {
    @Test(
        "a drawing that is read and drawn again is the same",
        arguments: ["", "|", "a", "a--b---|", "--#", "a-(bc)-(d|)"])
    func roundTrip(drawing: String) throws {
        #expect("\(try Timeline(parsing: drawing))" == drawing)
    }

    @Test(
        "a drawing that is none is refused, with the column",
        arguments: [("a|b", 2), ("(a-b)", 2), ("a)", 1), ("(a", 2), ("((", 1)])
    func wrong(drawing: String, column: Int) {
        let error = #expect(throws: Timeline.DrawingError.self) { try Timeline(parsing: drawing) }
        #expect(error?.column == column)
    }

    @Test("what is played is recorded as it was drawn", arguments: ["|", "a--b---|", "--#", "a-(bc)-(d|)", "ab(#)"])
    func playAndRecord(drawing: String) async throws {
        try await withVirtualTime(options: .test()) { time in
            let timeline = try Timeline(parsing: drawing)
            let found = try await Timeline.record(timeline.play(on: time), on: time)
            #expect(found == timeline, "\(found)")
        }
    }

    @Test("elements that nobody has asked for in time are not lost, and come late")
    func slowReader() async throws {
        try await withVirtualTime(options: .test()) { time in
            let player = Timeline("abc-d|").play(on: time)
            var seen: [String] = []
            for try await element in player {
                seen.append("\(element)\(time.elapsed.components.seconds)")
                try await time.loop.sleep(for: .seconds(2))
            }
            #expect(seen == ["a0", "b2", "c4", "d6"])
        }
    }

    @Test("a difference shows both lines and the tick")
    func difference() throws {
        let found: Timeline = "a--c|"
        let error = #expect(throws: TimelineDifference.self) { try found.expect("a-b-c|") }
        #expect(error?.tick == 2)
        #expect(error.map { "\($0)" } == "timelines differ at tick 2:\n  expected  a-b-c|\n  found     a--c|")
    }

    @Test("a sequence that ends by a limit of its own is recorded with an error")
    func ownTimeout() async throws {
        struct Impatient: AsyncSequence {
            struct AsyncIterator: AsyncIteratorProtocol {
                let loop: EventLoop
                var count = 0
                mutating func next() async throws -> String? {
                    count += 1
                    guard count > 1 else { return "a" }
                    let loop = loop
                    return try await withTimeout(.seconds(2)) {
                        try await loop.sleep(for: .seconds(100))
                        return "b"
                    }
                }
            }
            let loop: EventLoop
            func makeAsyncIterator() -> AsyncIterator { AsyncIterator(loop: loop) }
        }
        try await withVirtualTime { time in
            try await Timeline.record(Impatient(loop: time.loop), on: time).expect("a-#")
        }
    }

    @Test("an interval, a merge of two, and an endless sequence are recorded")
    func sequences() async throws {
        try await withVirtualTime(options: .test()) { time in
            let queue = AsyncQueue<String>(capacity: 4)
            time.loop.spawn {
                for try await element in Timeline("a--b|").play(on: time) { try await queue.put(element) }
            }
            time.loop.spawn {
                for try await element in Timeline("-x-y-|").play(on: time) { try await queue.put(element) }
                queue.finish()
            }
            try await Timeline.record(queue, on: time).expect("ax-(by)-|")
            let endless = try await Timeline.record(Timeline("a-").play(on: time), on: time, limit: 5)
            #expect("\(endless)" == "a")
        }
    }
}
