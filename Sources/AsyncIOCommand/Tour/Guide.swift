import AsyncIO
import Glibc

/// The tour's four chapters. Each runs something on the loop, and shows what the loop has recorded of it.
struct Guide: Sendable {
    private struct Flight: Sendable {
        let city: String
        let milliseconds: Int
        var duration: Duration { .milliseconds(milliseconds) }
    }

    /// What a gull does until it lands.
    private enum Manners: Sendable { case awaits, blocks }

    private let loop: EventLoop
    private let recorder: Recorder
    private let paint: Paint
    private let flights = [
        Flight(city: "Porto", milliseconds: 250), Flight(city: "Bergen", milliseconds: 400),
        Flight(city: "Tunis", milliseconds: 150),
    ]

    init(loop: EventLoop, recorder: Recorder, paint: Paint) {
        self.loop = loop
        self.recorder = recorder
        self.paint = paint
    }

    /// The whole tour.
    func lead() async throws {
        Console.say(
            """
            Three gulls carry letters over the sea: to Porto (250 ms), to Bergen (400 ms),
            to Tunis (150 ms). They do it three times, all on one thread: an event loop of
            swift-asyncio (\(loop.driverName)). Nothing here is drawn by hand: the timelines are what
            the loop's own instruments record while you watch.
            """)
        try await oneByOne()
        try await concurrently()
        try await blocking()
        try await lifeOfATask()
        Console.say()
        Console.say("Next: `asyncio serve chat` in this terminal, `nc 127.0.0.1 7000` in two others.")
    }

    // MARK: Chapters

    private func oneByOne() async throws {
        chapter(
            1, "One by one",
            code: """
                for city in cities { try await fly(to: city) }
                """,
            """
            A flight is an `await`: the task waits, the loop is free. But nobody else is
            there to use it: the keeper sends a gull only when the one before has landed.
            """)
        let recording = try await recorder.record(on: loop) {
            try await withThrowingDiscardingTaskGroup { group in
                group.addTask(name: "keeper") {
                    recorder.introduce()
                    for flight in flights {
                        recorder.mark(flight.city, at: loop.now)
                        try await fly(flight)
                    }
                }
            }
        }
        show(recording)
        let sum = flights.reduce(0) { $0 + $1.milliseconds }
        Console.say("\(sum) ms in the air: \(Timeline.milliseconds(recording.duration)) in all.")
    }

    private func concurrently() async throws {
        chapter(
            2, "Concurrently",
            code: """
                for city in cities { group.addTask { try await fly(to: city) } }
                """,
            """
            Now each gull is a task. Whenever one awaits, the loop runs another one; when
            all of them wait, it sleeps in the system until the first timer is due.
            """)
        let recording = try await recorder.record(on: loop) {
            try await withThrowingDiscardingTaskGroup { group in
                for flight in flights {
                    group.addTask(name: flight.city) { try await travel(flight) }
                }
            }
        }
        show(recording)
        let longest = flights.map(\.milliseconds).max() ?? 0
        let work = Lane.loop(in: recording).time(in: .running)
        Console.say(
            """
            The longest flight takes \(longest) ms, all of them together \(Timeline.milliseconds(recording.duration)).
            The thread was at work for \(Self.precise(work)) of that; the rest it slept.
            """)
    }

    private func blocking() async throws {
        chapter(
            3, "One that blocks",
            code: """
                usleep(400_000)   // in Bergen's task: no await, nobody else gets a turn
                """,
            """
            There is one thread. A task that does not await keeps it: the loop can neither
            take the next task from the queue nor notice a timer.
            """)
        let recording = try await recorder.record(on: loop) {
            try await withThrowingDiscardingTaskGroup { group in
                for flight in flights {
                    let manners = flight.city == "Bergen" ? Manners.blocks : .awaits
                    group.addTask(name: flight.city) { try await travel(flight, manners) }
                }
            }
        }
        show(recording)
        let delays = flights.compactMap { flight -> String? in
            guard let end = recording.actor(flight.city).flatMap({ Lane.task($0, in: recording).end }) else {
                return nil
            }
            let late = recording.start.duration(to: end) - flight.duration
            return late < .milliseconds(20) ? nil : "\(flight.city) is \(Timeline.milliseconds(late)) late"
        }
        Console.say(
            """
            \(delays.joined(separator: ", ")).
            What blocks belongs on another thread: `try await offload { usleep(400_000) }`.
            """)
    }

    private func lifeOfATask() async throws {
        chapter(
            4, "The life of task A",
            code: """
                let letter = try await connection.read()   // A waits for the network
                """,
            """
            A gull drops a letter into a TCP connection; A reads it at the other end.
            Meanwhile B counts waves: one every 20 ms.
            """)
        let (here, there) = try await Self.connectedPair(on: loop)
        var recording = try await recorder.record(on: loop) {
            try await withThrowingDiscardingTaskGroup { group in
                group.addTask(name: "A") {
                    recorder.introduce()
                    _ = try await here.read()
                }
                group.addTask(name: "B") {
                    recorder.introduce()
                    for _ in 1...6 { try await loop.sleep(for: .milliseconds(20)) }
                }
                group.addTask(name: "gull") {
                    recorder.introduce()
                    try await loop.sleep(for: .milliseconds(90))
                    try await there.write("Dear A, the sea is wide. Yours, B.")
                }
            }
        }
        here.close()
        there.close()
        let steps = recording.actor("A").map { LifeStory.steps(of: $0, in: recording) } ?? []
        recording.marks = LifeStory.marks(steps, in: recording)
        show(recording)
        for (number, step) in steps.enumerated() {
            let time = Self.precise(step.time)
            let padding = String(repeating: " ", count: max(10 - time.count, 0))
            Console.say("\(padding)\(paint.dim(time))  \(number + 1) \(step.text)")
        }
    }

    // MARK: Flying

    private func fly(_ flight: Flight) async throws {
        try await loop.sleep(for: flight.duration)
    }

    /// A flight with a lane of its own.
    private func travel(_ flight: Flight, _ manners: Manners = .awaits) async throws {
        recorder.introduce(due: loop.now.advanced(by: flight.duration))
        switch manners {
        case .awaits: try await fly(flight)
        case .blocks: usleep(UInt32(flight.milliseconds) * 1000)
        }
    }

    // MARK: Telling

    private func chapter(_ number: Int, _ title: String, code: String, _ text: String) {
        Console.say()
        Console.say(paint.bold("\(number). \(title)"))
        Console.say(text)
        Console.say("    " + paint.code(code))
    }

    private func show(_ recording: Recording) {
        for line in Timeline(recording, paint: paint).lines() { Console.say(line) }
    }

    /// `0.43 ms`.
    static func precise(_ duration: Duration) -> String {
        let hundredths = Int((duration / .milliseconds(1) * 100).rounded())
        let fraction = hundredths % 100
        return "\(hundredths / 100).\(fraction < 10 ? "0" : "")\(fraction) ms"
    }

    /// Both ends of a TCP connection of this machine with itself.
    private static func connectedPair(on loop: EventLoop) async throws -> (TCPStream, TCPStream) {
        let listener = try await TCPListener.bind("127.0.0.1", 0, on: loop)
        defer { listener.close() }
        let there = try await TCPStream.connect(to: listener.address, on: loop)
        return (try await listener.accept(), there)
    }
}
