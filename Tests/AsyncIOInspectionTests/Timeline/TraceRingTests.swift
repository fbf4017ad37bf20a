import AsyncIOKernel
import AsyncIOLoop
import Glibc
import Testing

@testable import AsyncIOInspection

@Suite("The ring of trace events")
struct TraceRingTests {
    private static func at(_ nanoseconds: Int64) -> Instant { Instant(nanoseconds: nanoseconds) }
    private static func operation(_ number: UInt32) -> OperationID {
        OperationID(token: Token(index: number, generation: 3))
    }

    @Test("an event takes 32 bytes")
    func size() { #expect(MemoryLayout<TraceEvent>.stride <= 32) }

    @Test("every event of a loop is kept as it was")
    func contents() {
        let ring = TraceRing(capacity: 64)
        ring.record(.queued(TaskID(7)), by: 3, at: Self.at(1))
        ring.record(.jobWillRun(TaskID(7)), by: 0, at: Self.at(2))
        ring.record(.operation("write", -1, .completed), by: 7, at: Self.at(3))
        ring.record(.operation("read", -1, .waits(Self.operation(5))), by: 7, at: Self.at(4))
        ring.record(.jobDidRun(TaskID(7)), by: 7, at: Self.at(5))
        ring.record(.waitBegan(until: nil), by: 0, at: Self.at(6))
        ring.record(.waitEnded(completions: 2), by: 0, at: Self.at(7))
        ring.record(.resumed(Self.operation(5), -11), by: 0, at: Self.at(8))
        ring.record(.inboxTaken(4), by: 0, at: Self.at(9))
        ring.record(.timerFired, by: 0, at: Self.at(10))
        ring.record(.tickBegan(ready: 9), by: 0, at: Self.at(11))
        ring.record(.waitBegan(until: Self.at(20)), by: 0, at: Self.at(12))
        ring.record(.waitBegan(until: .distantPast), by: 0, at: Self.at(13))
        ring.record(.resumed(Self.operation(5), Int.max), by: 0, at: Self.at(14))
        let operation = Self.operation(5).number
        #expect(operation == 3 << 32 | 5)
        #expect(ring.names == ["write", "read"])
        #expect(
            ring.events == [
                TraceEvent(time: 1, task: 7, other: 3, kind: .queued),
                TraceEvent(time: 2, task: 7, kind: .began),
                TraceEvent(time: 3, task: 7, number: -1, kind: .did, name: 0),
                TraceEvent(time: 4, task: 7, other: operation, number: -1, kind: .asked, name: 1),
                TraceEvent(time: 5, task: 7, kind: .paused),
                TraceEvent(time: 6, task: 0, other: .max, kind: .asleep),
                TraceEvent(time: 7, task: 0, number: 2, kind: .awake),
                TraceEvent(time: 8, task: 0, other: operation, number: -11, kind: .answered),
                TraceEvent(time: 9, task: 0, number: 4, kind: .inbox),
                TraceEvent(time: 10, task: 0, kind: .fired),
                TraceEvent(time: 11, task: 0, number: 9, kind: .tick),
                TraceEvent(time: 12, task: 0, other: 20, kind: .asleep),
                TraceEvent(time: 13, task: 0, other: 0, kind: .asleep),
                TraceEvent(time: 14, task: 0, other: operation, number: .max, kind: .answered),
            ])
    }

    @Test(
        "the newest events take the places of the oldest, in order", arguments: [0, 1, 15, 16, 17, 31, 32, 33, 1_000])
    func overwriting(count: Int) {
        let ring = TraceRing(capacity: 16)
        for number in 0..<count { ring.record(.tickBegan(ready: number), by: 0, at: Self.at(Int64(number))) }
        let kept = max(count - 16, 0)..<count
        #expect(ring.events.map(\.time) == kept.map(Int64.init))
        #expect(ring.events.map(\.number) == kept.map { Int32($0) })
        #expect(ring.count == kept.count)
        #expect(ring.lost == max(count - 16, 0))
    }

    @Test(
        "its size is the next power of two, and never less than 16",
        arguments: [(-1, 16), (16, 16), (17, 32), (4_096, 4_096)])
    func capacity(wanted: Int, given: Int) { #expect(TraceRing(capacity: wanted).capacity == given) }

    @Test("more names than there are numbers share the last one")
    func manyNames() {
        let ring = TraceRing(capacity: 1_024)
        for number in 0..<300 { ring.record(.operation("call \(number)", -1, .completed), by: 1, at: Self.at(0)) }
        ring.record(.operation("call 254", -1, .completed), by: 1, at: Self.at(0))
        #expect(ring.names == (0..<255).map { "call \($0)" })
        #expect(ring.events.map(\.name) == (0..<255).map { UInt8($0) } + Array(repeating: 255, count: 45) + [254])
        let loop = TraceRecording.Loop(
            number: 1, name: "", driver: "", thread: 0, events: [], names: ring.names, tasks: [])
        #expect(ring.events.suffix(2).map(loop.name(of:)) == ["operation", "call 254"])
    }

    @Test("what is known of tasks that have ended stays as long as their events can, and not longer")
    func endedTasks() {
        let ring = TraceRing(capacity: 48)
        for number in 1...100 as ClosedRange<UInt64> {
            ring.ends(
                TraceRecording.Task(id: number, name: "task \(number)", first: Self.at(0), since: Self.at(0)),
                at: Self.at(Int64(number)))
        }
        #expect(ring.endedTasks.count == ring.capacity / 3)
        #expect(Set(ring.endedTasks.map(\.id)) == Set((101 - UInt64(ring.capacity / 3))...100))
        #expect(ring.events.last == TraceEvent(time: 100, task: 100, kind: .over))
    }

    @Test("a descriptor is called what its peer is called, anew after its number was closed", .alone)
    func descriptors() throws {
        // Connecting a datagram socket sends nothing.
        func connected(to port: UInt16) throws -> Int32 {
            let number = socket(AF_INET, Int32(SOCK_DGRAM.rawValue), 0)
            #expect(SystemCall.connect(number, try SocketAddress(host: "127.0.0.1", port: port)) == 0)
            return number
        }
        var names = DescriptorNames()
        #expect(names.knows(-1))
        let number = try connected(to: 4_001)
        #expect(!names.knows(number))
        names.meet(number, "read", at: 1)
        #expect(names.knows(number))
        // What is known is asked for no more: the new one seems to be the old one.
        close(number)
        let other = try connected(to: 4_002)
        try #require(other == number)
        names.meet(number, "close", at: 2)
        #expect(!names.knows(number))
        names.meet(number, "write", at: 3)
        close(other)
        #expect(
            names.all == [
                DescriptorNames.Name(descriptor: number, since: 1, text: "127.0.0.1:4001"),
                DescriptorNames.Name(descriptor: number, since: 3, text: "127.0.0.1:4002"),
            ])
        #expect(names.knows(DescriptorNames.highest + 1))
        let loop = TraceRecording.Loop(
            number: 1, name: "", driver: "", thread: 0, events: [], names: [], descriptors: names.all, tasks: [])
        let index = loop.namesOfDescriptors
        #expect(loop.name(of: number, at: 2, in: index) == "127.0.0.1:4001")
        #expect(loop.name(of: number, at: 3, in: index) == "127.0.0.1:4002")
        #expect(loop.name(of: number + 1, at: 3, in: index) == nil)
    }
}
