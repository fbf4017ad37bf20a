import AsyncIOKernel
import AsyncIOLoop
import Foundation
import Testing

@testable import AsyncIOInspection

/// Names as nobody should give them.
private let hostile = "</script><script>alert(1)</script>\"'\\\u{0}\u{7}\n\u{1b}[31m\u{2028}\u{202e}&amp;`${1}` é😀"

/// A loop on which a task wakes another one, which reads.
private func recording(name: String = "echo") -> TraceRecording {
    func at(_ time: Int64) -> Instant { Instant(nanoseconds: time) }
    let ring = TraceRing(capacity: 64)
    ring.record(.tickBegan(ready: 1), by: 0, at: at(1_000))
    ring.record(.jobWillRun(TaskID(2)), by: 0, at: at(1_100))
    ring.record(.queued(TaskID(5)), by: 2, at: at(1_200))
    ring.record(.operation("write", -1, .completed), by: 2, at: at(1_300))
    ring.record(.jobDidRun(TaskID(2)), by: 2, at: at(1_400))
    ring.record(.jobWillRun(TaskID(5)), by: 0, at: at(2_000))
    let operation = OperationID(token: Token(index: 1, generation: 1))
    ring.record(.operation("read", 9, .waits(operation)), by: 5, at: at(2_100))
    ring.record(.jobDidRun(TaskID(5)), by: 5, at: at(2_200))
    ring.record(.waitBegan(until: nil), by: 0, at: at(2_300))
    ring.record(.waitEnded(completions: 1), by: 0, at: at(5_000))
    ring.record(.resumed(operation, 17), by: 0, at: at(5_100))
    ring.record(.queued(TaskID(5)), by: 0, at: at(5_200))
    ring.record(.jobWillRun(TaskID(5)), by: 0, at: at(5_500))
    ring.record(.jobDidRun(TaskID(5)), by: 5, at: at(5_999))
    ring.ends(TraceRecording.Task(id: 5, name: name, first: at(1_200), since: at(5_999)), at: at(5_999))
    let keeper = TraceRecording.Task(id: 2, name: name, origin: name, first: at(0), since: at(1_400))
    let loop = TraceRecording.Loop(
        number: 1, name: name, driver: "epoll", thread: 12, events: ring.events, names: ring.names,
        descriptors: [DescriptorNames.Name(descriptor: 9, since: 0, text: "10.0.0.1:4000 " + name)],
        tasks: ring.endedTasks + [keeper])
    return TraceRecording(
        process: 77, program: name, start: at(1_000), end: at(6_000), loops: [loop], notes: [name])
}

@Suite("Lanes of a trace")
struct LanesTests {
    @Test("show what each task was at, from when to when, and who ended its waits")
    func spans() throws {
        let lanes = Lanes.of(try #require(recording().loops.first), from: 1_000, to: 6_000)
        typealias Span = Lane.Span
        #expect(lanes.map(\.task) == [0, 2, 5])
        #expect(
            lanes[0].spans == [
                Span(start: 1_000, end: 2_300, state: .working), Span(start: 2_300, end: 5_000, state: .asleep),
                Span(start: 5_000, end: 6_000, state: .working),
            ])
        #expect(lanes[0].marks.map(\.kind) == [.tick, .awake])
        #expect(
            lanes[1].spans == [
                Span(start: 1_000, end: 1_100, state: .unknown), Span(start: 1_100, end: 1_400, state: .running),
                Span(start: 1_400, end: 6_000, state: .parked),
            ])
        #expect(lanes[1].marks == [Lane.Mark(time: 1_300, kind: .did, operation: "write", number: -1)])
        #expect(
            lanes[2].spans == [
                Span(start: 1_200, end: 2_000, state: .ready, waker: .task(2)),
                Span(start: 2_000, end: 2_200, state: .running),
                Span(
                    start: 2_200, end: 5_200, state: .reading, operation: "read", target: "10.0.0.1:4000 echo",
                    result: 17),
                Span(start: 5_200, end: 5_500, state: .ready, waker: .operation),
                Span(start: 5_500, end: 5_999, state: .running),
            ])
        #expect(lanes[2].isOver && !lanes[1].isOver)
    }

    @Test("a task that is woken while it runs is ready as soon as it stops")
    func wokenWhileRunning() {
        func event(_ time: Int64, _ kind: TraceEvent.Kind, by other: UInt64 = 0) -> TraceEvent {
            TraceEvent(time: time, task: kind == .fired ? 0 : 1, other: other, kind: kind)
        }
        let events = [
            event(1, .queued), event(2, .began), event(3, .queued, by: 8), event(4, .paused), event(5, .began),
            event(6, .paused), event(7, .fired), event(8, .queued), event(9, .began),
        ]
        let loop = TraceRecording.Loop(
            number: 1, name: "", driver: "", thread: 0, events: events, names: [], tasks: [])
        let lane = Lanes.of(loop, from: 0, to: 10)[1]
        #expect(lane.spans.map(\.state) == [.ready, .running, .ready, .running, .sleeping, .ready, .running])
        #expect(lane.spans.map(\.end) == [2, 4, 5, 6, 8, 9, 10])
        #expect(lane.spans[2].waker == .task(8) && lane.spans[5].waker == .timer)
    }
}

@Suite("A trace in Chrome's format")
struct ChromeTraceTests {
    private struct Document: Decodable {
        var traceEvents: [Event]
        var otherData: [String: String]
    }

    private struct Event: Decodable {
        var ph: String
        var pid: Int
        var tid: Int
        var name: String
        var cat: String?
        var ts: Double?
        var dur: Double?
        var id: Int?
        var bp: String?
        var s: String?
        var args: [String: Value]?
    }

    private enum Value: Decodable, Equatable {
        case text(String), number(Int)
        init(from decoder: any Decoder) throws {
            let container = try decoder.singleValueContainer()
            if let number = try? container.decode(Int.self) {
                self = .number(number)
            } else {
                self = .text(try container.decode(String.self))
            }
        }
    }

    private static func document(_ recording: TraceRecording) throws -> Document {
        try JSONDecoder().decode(Document.self, from: Data(recording.chromeJSON().utf8))
    }

    @Test("has a thread for each task, a complete event for each span, and an arrow for each wake-up")
    func fields() throws {
        let document = try Self.document(recording())
        let events = document.traceEvents
        #expect(document.otherData["process"] == "77")
        #expect(events.allSatisfy { $0.pid == 1 })
        let names = events.filter { $0.name == "thread_name" }.compactMap { $0.args?["name"] }
        #expect(names == [Value.text("the loop"), .text("echo #2"), .text("echo #5")])
        let runs = events.filter { $0.ph == "X" && $0.cat == "run" }
        #expect(runs.map(\.tid) == [2, 5, 5])
        #expect(runs.map(\.ts) == [0.1, 1, 4.5] && runs.map(\.dur) == [0.3, 0.2, 0.499])
        let read = try #require(events.first { $0.name == "read" })
        #expect(read.ph == "X" && read.cat == "wait" && read.ts == 1.2 && read.dur == 3)
        #expect(read.args == ["target": .text("10.0.0.1:4000 echo"), "result": .number(17)])
        let write = try #require(events.first { $0.name == "write" })
        #expect(write.ph == "i" && write.s == "t" && write.ts == 0.3 && write.tid == 2)
        let arrows = events.filter { $0.name == "wake-up" }
        #expect(arrows.map(\.ph) == ["s", "f", "s", "f"])
        #expect(arrows.map(\.id) == [1, 1, 2, 2])
        #expect(arrows.map(\.tid) == [2, 5, 0, 5])
        #expect(arrows.map(\.ts) == [0.2, 1, 4.2, 4.5])
        #expect(arrows.map(\.bp) == [nil, "e", nil, "e"])
        // An arrow leads from a span to a span.
        for arrow in arrows {
            #expect(
                events.contains { span in
                    guard span.ph == "X", span.tid == arrow.tid, let ts = span.ts, let dur = span.dur,
                        let time = arrow.ts
                    else { return false }
                    return ts <= time && time <= ts + dur
                })
        }
    }

    @Test("hostile names stay what they are")
    func escaping() throws {
        let text = recording(name: hostile).chromeJSON()
        #expect(!text.contains("<") && !text.unicodeScalars.contains { $0.value < 32 && $0 != "\n" })
        let names = try Self.document(recording(name: hostile)).traceEvents.filter { $0.name == "thread_name" }
        let texts = names.compactMap { $0.args?["name"] }
        #expect(texts.contains(Value.text("\(hostile) #5")))
    }

    @Test("comes in pieces, which together are the text")
    func pieces() throws {
        var recording = recording()
        for _ in 0..<11 { recording.loops += recording.loops }
        var pieces: [[UInt8]] = []
        try recording.writeChromeJSON { pieces.append($0) }
        #expect(pieces.count > 10)
        #expect(pieces.allSatisfy { $0.count < 2 * JSONText.piece })
        #expect(Array(pieces.joined()) == Array(recording.chromeJSON().utf8))
    }

    @Test("a sink's error ends the writing")
    func failure() {
        var recording = recording()
        for _ in 0..<10 { recording.loops += recording.loops }
        var calls = 0
        #expect(throws: CancellationError.self) {
            try recording.writeChromeJSON { _ in
                calls += 1
                throw CancellationError()
            }
        }
        #expect(calls == 1)
    }

    @Test(
        "microseconds have three digits behind the point",
        arguments: [
            (0, "0"), (1, "0.001"), (999, "0.999"), (1_000, "1"), (1_050, "1.050"), (-1, "-0.001"), (-1_500, "-1.500"),
        ] as [(Int64, String)])
    func microseconds(nanoseconds: Int64, text: String) {
        var json = JSONText { _ in }
        json.microseconds(nanoseconds)
        #expect(String(decoding: json.bytes, as: UTF8.self) == text)
    }
}

@Suite("A trace as a page")
struct TracePageTests {
    /// What stands between a script's tags.
    private static func content(_ id: String, of page: String) throws -> String {
        let begin = try #require(page.range(of: "id=\"\(id)\">"))
        let end = try #require(page.range(of: "</script>", range: begin.upperBound..<page.endIndex))
        return String(page[begin.upperBound..<end.lowerBound])
    }

    @Test("no name can leave its place: the page's own text is the same, whatever the names are")
    func escaping() throws {
        func frame(_ page: String) throws -> String {
            page.replacing(try Self.content("trace", of: page), with: "")
                .replacing(try Self.content("spans", of: page), with: "")
        }
        let tame = recording().html(title: "tame"), wild = recording(name: hostile).html(title: hostile)
        #expect(try frame(tame) == frame(wild))
        let data = try Self.content("trace", of: wild)
        #expect(!data.contains("<") && !data.contains(">") && !data.contains("&") && !data.contains("\u{2028}"))
        #expect(!data.unicodeScalars.contains { $0.value < 32 && $0 != "\n" })
        struct Header: Decodable {
            var title: String
            var program: String
            var notes: [String]
            var strings: [String]
            var duration: Int
            var events: Int
        }
        let header = try JSONDecoder().decode(Header.self, from: Data(data.utf8))
        #expect(header.title == hostile && header.program == hostile && header.notes == [hostile])
        #expect(header.strings == ["", "write", "read", "10.0.0.1:4000 " + hostile])
        #expect(header.duration == 5_000 && header.events == 15)
    }

    @Test("fetches nothing, and forbids it")
    func selfContained() {
        let page = recording().html()
        for word in ["http://", "https://", "src=", "@import", "fetch(", "XMLHttpRequest", "innerHTML"] {
            #expect(!page.contains(word), "\(word)")
        }
        #expect(page.contains("default-src 'none'"))
    }

    @Test("holds the spans as the format says")
    func packed() throws {
        let page = recording().html()
        let bytes = try #require(Data(base64Encoded: try Self.content("spans", of: page)))
        let packed = PackedTrace(recording())
        #expect(Array(bytes) == packed.bytes)
        // The lane of task 5: ready since 1,200 by task 2, which is written as 6.
        let lane: [UInt8] = [
            200, 1, 160, 6, 1, 6, 0, 200, 1, 0, 0, 184, 23, 2, 2, 3, 34, 0, 172, 2, 1, 1, 0, 243, 3, 0,
        ]
        #expect(Array(packed.bytes.suffix(lane.count)) == lane)
        #expect(packed.lanes.map(\.spans) == [3, 3, 5] && packed.lanes.map(\.marks) == [2, 1, 0])
    }

    @Test("bytes in letters are what everybody takes them for", arguments: 0...9)
    func base64(count: Int) {
        let bytes = (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 77 &+ 130) }
        #expect(Base64Text.encoded(bytes[...]) == Array(Data(bytes).base64EncodedString().utf8))
    }
}
