import AsyncIO
import Testing

@testable import AsyncIOCommand

/// A recording as the loop would have made it, in milliseconds.
private struct Script {
    static let anna = TaskID(1), bob = TaskID(2)

    static func recording(_ end: Int64, _ entries: [(Int64, Recording.Moment)]) -> Recording {
        Recording(
            start: at(0), end: at(end), entries: entries.map { Recording.Entry(instant: at($0), moment: $1) },
            actors: [Recording.Actor(task: anna, name: "anna"), Recording.Actor(task: bob, name: "bob", due: at(20))])
    }

    static func at(_ milliseconds: Int64) -> Instant { Instant(nanoseconds: milliseconds * 1_000_000) }

    /// anna blocks the loop until 60 while bob's timer is due at 20.
    static let blocking = recording(
        100,
        [
            (0, .queued(bob)), (0, .queued(anna)), (0, .began(bob)), (1, .paused(bob)), (1, .began(anna)),
            (60, .paused(anna)),
            (60, .queued(bob)), (70, .began(bob)), (70, .paused(bob)), (70, .sleeps), (100, .woke(completions: 0)),
        ])
}

@Suite("The tour's timeline")
struct TimelineTests {
    private func draw(_ recording: Recording, width: Int = 10) -> [String] {
        Timeline(recording, width: width, paint: Paint(isOn: false)).lines()
    }

    @Test("shows who runs, who waits in the queue, who is late, and who blocks")
    func lanes() {
        let lines = draw(Script.blocking)
        #expect(lines[0] == "    anna !!!!!!     60 ms")
        #expect(lines[1] == "     bob #.~~~~:#   70 ms")
        #expect(lines[2] == "the loop !!!!!!!...")
        #expect(lines[4] == "         ! blocks the loop  # runs  ~ due, unnoticed  : in the queue  . waits")
    }

    @Test("fits 80 columns, for any recording")
    func width() {
        for line in draw(Script.blocking, width: 56) { #expect(line.count <= 80, "\(line)") }
    }

    @Test("colours do not change what is written")
    func colours() {
        let plain = Timeline(Script.blocking, paint: Paint(isOn: false)).lines().joined(separator: "\n")
        let painted = Timeline(Script.blocking, paint: Paint(isOn: true)).lines().joined(separator: "\n")
        #expect(painted != plain)
        #expect(painted.replacing(#/\u{1b}\[[0-9;]*m/#, with: "") == plain)
    }

    @Test("an empty recording is drawn as well")
    func empty() {
        #expect(draw(Script.recording(0, [])).count == 5)
    }

    @Test("a continuation that is queued while its task still runs is ready as soon as it stops")
    func queuedWhileRunning() {
        let recording = Script.recording(
            30,
            [
                (0, .began(Script.anna)), (5, .queued(Script.anna)), (10, .paused(Script.anna)),
                (20, .began(Script.anna)), (30, .paused(Script.anna)),
            ])
        let lane = Lane.task(recording.actors[0], in: recording)
        #expect(lane.stretches.map(\.state) == [.running, .ready, .running])
        #expect(lane.time(in: .ready) == .milliseconds(10))
    }
}

@Suite("The tour's life of a task")
struct LifeStoryTests {
    @Test("is told in the order of the loop's steps")
    func story() {
        let anna = Script.anna, bob = Script.bob
        let recording = Script.recording(
            100,
            [
                (0, .queued(anna)), (1, .began(anna)), (2, .asked(anna, operation: "read", descriptor: 7, waits: 5)),
                (3, .paused(anna)), (4, .began(bob)), (5, .paused(bob)), (6, .sleeps), (90, .woke(completions: 1)),
                (91, .answered(5, result: 34)), (92, .queued(anna)), (93, .began(anna)), (94, .paused(anna)),
            ])
        let steps = LifeStory.steps(of: recording.actors[0], in: recording)
        #expect(steps.map(\.time) == [0, 1, 2, 3, 90, 91, 92, 93, 94].map { .milliseconds($0) })
        #expect(steps[2].text == "anna reads from socket 7; the system has nothing for it yet")
        #expect(steps[3].text == "anna is suspended; meanwhile the loop runs bob once")
        #expect(steps[5].text == "the read has its 34 bytes: it is complete")
        let marks = LifeStory.marks(steps, in: recording)
        #expect(marks.map(\.text) == ["1-4", "5-9"])
        #expect(marks.map(\.instant) == [Script.at(0), Script.at(90)])
    }

    @Test("is empty where nothing was waited for")
    func nothing() {
        #expect(LifeStory.steps(of: Script.blocking.actors[0], in: Script.blocking) == [])
    }
}
