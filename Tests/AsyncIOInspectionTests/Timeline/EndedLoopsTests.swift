import AsyncIOKernel
import AsyncIOTestSupport
import Foundation
import Testing

@testable import AsyncIOInspection

@Suite("Loops that have ended")
struct EndedLoopsTests {
    private func loop(_ number: Int, events: Int) -> TraceRecording.Loop {
        TraceRecording.Loop(
            number: number, name: "loop \(number)", driver: "epoll", thread: 1,
            events: (0..<events).map { TraceEvent(time: Int64($0), task: 0, kind: .tick) }, names: [], tasks: [])
    }

    @Test("are kept in a trace as far as there is room, the last ones first; what is lost is told")
    func bounds() {
        var ended = EndedLoops(mostLoops: 3, mostEvents: 100)
        for number in 1...3 { ended.add(loop(number, events: 10)) }
        #expect(ended.loops.map(\.number) == [1, 2, 3] && ended.note == nil)
        ended.add(loop(4, events: 10))
        #expect(ended.loops.map(\.number) == [2, 3, 4])
        ended.add(loop(5, events: 85))
        #expect(ended.loops.map(\.number) == [4, 5])
        // One that is larger than the room is kept for itself.
        ended.add(loop(6, events: 500))
        #expect(ended.loops.map(\.number) == [6])
        ended.add(loop(7, events: 1))
        #expect(ended.loops.map(\.number) == [7])
        #expect(ended.note?.hasPrefix("Of the loops that have ended, the first 6 are left out") == true)
    }

    @Test("are written such that it takes a tenth of the time")
    func pace() {
        var pace = WritingPace()
        var now = Instant(nanoseconds: 1_000_000_000)
        #expect(pace.isDue(at: now))
        let began = now
        now = now.advanced(by: .milliseconds(10))
        pace.hasWritten(from: began, to: now)
        #expect(!pace.isDue(at: now.advanced(by: .milliseconds(89))))
        #expect(pace.isDue(at: now.advanced(by: .milliseconds(90))))
    }

    /// What a program leaves that runs one loop after the other, and how it ended.
    private func trace(_ count: Int, _ end: String) async throws -> (text: String, run: ProbeRun) {
        let scratch = try Scratch()
        let path = scratch["out.json"]
        let run = try await ProbeRun.of(
            "/usr/bin/env", "ASYNCIO_TRACE=\(path)", ProbeProcess.folder + "/probe-inspected", "loops", "\(count)", end)
        return (try String(contentsOfFile: path, encoding: .utf8), run)
    }

    @Test("are all in the file of a program that runs them one after the other, also if a signal ends it")
    func files() async throws {
        let over = try await trace(100, "exit")
        #expect(over.run.ending == .exited(0))
        for number in [1, 2, 50, 99, 100] { #expect(over.text.contains("\"loop \(number) ")) }
        let interrupted = try await trace(100, "interrupted")
        #expect(interrupted.run.ending == .signalled(SIGTERM))
        for name in ["loop 1 ", "loop 100 ", "last "] { #expect(interrupted.text.contains("\"\(name)")) }
        let killed = try await trace(3, "kill")
        #expect(killed.run.ending == .signalled(SIGKILL))
        #expect(killed.text.contains("\"loop 1 "), "nobody can do more than that")
    }

    @Test("are left out of the file if they are too many, the first ones first")
    func tooMany() async throws {
        let (text, _) = try await trace(300, "exit")
        #expect(text.contains("\"loop 300 ") && !text.contains("\"loop 44 "))
        #expect(text.contains("\"loop 45 "))
        #expect(text.contains("Of the loops that have ended, the first 44 are left out"))
    }
}
