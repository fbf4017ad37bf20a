import AsyncIO
import AsyncIOKernel
import AsyncIOLoop
import AsyncIOTestSupport
import Glibc
import Testing

@testable import AsyncIOInspection

/// One trace at a time is recorded in a process, of all its loops: those of other tests may be among them.
@Suite("A trace of running loops", .serialized, .alone)
struct TraceSessionTests {
    private static func lanes(_ name: String, in recording: TraceRecording) throws -> [(Lane, TraceRecording.Task?)] {
        let loop = try #require(recording.loops.last { $0.name == name })
        let lanes = Lanes.of(loop, from: recording.start.nanoseconds, to: recording.end.nanoseconds)
        return lanes.map { lane in (lane, loop.tasks.first { $0.id == lane.task }) }
    }

    @Test("tells of tasks that have ended by name, what they waited for, and what came", arguments: Drivers.available)
    func life(driver: DriverChoice) async throws {
        let (recording, peer) = try await Guest.run(.guest(driver, name: "life")) { loop in
            let listener = try await TCPListener.bind("127.0.0.1", 0, on: loop)
            let client = try await TCPStream.connect(to: listener.address, on: loop)
            let server = try await listener.accept()
            Inspection.startTrace()
            try await withThrowingDiscardingTaskGroup { group in
                group.addTask(name: "reader") { _ = try await server.read() }
                group.addTask(name: "writer") {
                    try await loop.sleep(for: .milliseconds(5))
                    try await client.write("four")
                }
            }
            let recording = await Inspection.stopTrace()
            let peer = "\(server.peer)"
            client.close()
            server.close()
            listener.close()
            return (recording, peer)
        }
        let lanes = try Self.lanes("life", in: recording)
        let (reader, fact) = try #require(lanes.first { $0.1?.name == "reader" })
        let (writer, _) = try #require(lanes.first { $0.1?.name == "writer" })
        #expect(reader.isOver && writer.isOver && fact?.isOver == true)
        #expect(fact?.parent != 0 && fact?.creator == fact?.parent)
        let wait = try #require(reader.spans.first { $0.state == .reading })
        #expect(wait.operation == "read" && wait.target == peer)
        #expect(wait.end - wait.start > 4_000_000)
        let woken = reader.spans.first { $0.state == .ready && $0.start == wait.end }
        #expect(woken?.waker == .operation)
        // Ready, runs, waits, ready, runs.
        #expect(reader.spans.map(\.state) == [.ready, .running, .reading, .ready, .running])
        #expect(reader.spans.first?.waker == fact.map { .task($0.parent) })
        #expect(zip(reader.spans, reader.spans.dropFirst()).allSatisfy { $0.end == $1.start })
        #expect(writer.spans.contains { $0.state == .sleeping && $0.operation == "sleep" })
        let written = writer.marks.contains { $0.kind == .did && $0.operation == "write" }
        #expect(written || writer.spans.contains { $0.state == .writing })
        let works = try #require(lanes.first?.0)
        #expect(works.task == 0)
        // How long is the machine's affair: a thread may be late to fall asleep, or be woken between.
        #expect(works.spans.contains { $0.state == .asleep && $0.start > wait.start && $0.end < wait.end })
        #expect(works.marks.contains { $0.kind == .fired } && works.marks.contains { $0.kind == .tick })
    }

    @Test("tells at which lock a task waits, and who holds it")
    func places() async throws {
        let recording = try await Guest.run(.guest(name: "places")) { loop in
            let lock = AsyncLock(name: "accounts")
            return try await withThrowingTaskGroup(of: Void.self) { group in
                Inspection.startTrace()
                group.addTask(name: "holder") {
                    try await lock.withLock { try await loop.sleep(for: .milliseconds(5)) }
                }
                group.addTask(name: "visitor") { try await lock.withLock {} }
                for try await _ in group {}
                return await Inspection.stopTrace()
            }
        }
        let lanes = try Self.lanes("places", in: recording)
        let holder = try #require(lanes.first { $0.1?.name == "holder" }?.0)
        let visitor = try #require(lanes.first { $0.1?.name == "visitor" }?.0)
        let wait = try #require(visitor.spans.first { $0.state == .parked })
        #expect(wait.operation == "lock" && wait.target == "accounts" && wait.holder == holder.task)
        let woken = visitor.spans.first { $0.state == .ready && $0.start == wait.end }
        #expect(woken?.waker == .task(holder.task))
    }

    @Test("includes a task that waits the whole time, and loops that begin and end meanwhile")
    func wholeProcess() async throws {
        let recording = try await Guest.run(.guest(name: "first")) { loop in
            let listener = try await TCPListener.bind("127.0.0.1", 0, on: loop)
            let idle = loop.spawn(name: "idle") { _ = try await listener.accept() }
            // It is queued before this, and waits when this goes on.
            await EventLoop.yield()
            Inspection.startTrace()
            #expect(!Inspection.startTrace())
            let other = try LoopThread(options: .guest(name: "meanwhile"))
            _ = try await other.loop.spawn(name: "short") { await EventLoop.yield() }.value
            await other.shutdown()
            let recording = await Inspection.stopTrace()
            idle.cancel()
            listener.close()
            return recording
        }
        let (idle, fact) = try #require(try Self.lanes("first", in: recording).first { $0.1?.name == "idle" })
        #expect(fact?.isOver == false && fact?.operation == "accept")
        #expect(idle.spans.map(\.state) == [.reading])
        #expect(idle.spans.first?.start == recording.start.nanoseconds)
        #expect(idle.spans.first?.end == recording.end.nanoseconds)
        #expect(try Self.lanes("meanwhile", in: recording).contains { $0.1?.name == "short" && $0.0.isOver })
        #expect(recording.notes == [])
        #expect(recording.process == getpid())
    }

    @Test("a second recording takes its part of the first one's, and leaves that alone")
    func nested() async throws {
        let (first, second) = try await Guest.run(.guest(name: "nested")) { loop in
            Inspection.startTrace()
            for _ in 0..<100 { await EventLoop.yield() }
            async let busy: Void = { for _ in 0..<20 { try await loop.sleep(for: .milliseconds(1)) } }()
            let second = await Inspection.trace(for: .milliseconds(10))
            try await busy
            return (await Inspection.stopTrace(), second)
        }
        #expect(second.start > first.start && second.eventCount > 0 && second.eventCount < first.eventCount)
        for event in second.loops.flatMap(\.events) { #expect(event.time >= second.start.nanoseconds) }
        #expect(try Self.lanes("nested", in: first).contains { $0.0.spans.count > 200 })
        // Afterwards nothing is recorded any more.
        #expect(await Inspection.stopTrace().eventCount == 0)
    }

    @Test("a loop that does not answer is left out, and named; its ring is taken away when it answers after all")
    func stalled() async throws {
        let (recording, late) = try await Guest.run(.guest(name: "observer")) { loop in
            let other = try LoopThread(options: .guest(name: "stalled"))
            let gate = Condition(0)
            Inspection.startTrace()
            let session = try #require(TraceSession.current)
            other.loop.callSoon {
                gate.withLock { $0 = 1 }
                gate.broadcast()
                _ = gate.wait { $0 == 2 ? true : nil }
            }
            let recording = try await offload {
                _ = gate.wait { $0 == 1 ? true : nil }
                return session.gather(timeout: .milliseconds(50), isOver: true)
            }
            gate.withLock { $0 = 2 }
            gate.broadcast()
            let ring = try await other.loop.submit(name: "look") {
                EventLoop.current.flatMap { ProcessInspector.shared.inspector(of: $0)?.ring } == nil
            }.value
            await other.shutdown()
            return (recording, ring)
        }
        // Loops of other tests may be stalled as well.
        #expect(recording.notes.contains("The loop stalled has not answered: what it did is missing."))
        #expect(recording.loopNames.contains("observer") && !recording.loopNames.contains("stalled"))
        #expect(late)
    }
}
