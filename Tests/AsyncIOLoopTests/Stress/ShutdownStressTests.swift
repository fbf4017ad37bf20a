import AsyncIOKernel
import AsyncIOTestSupport
import Glibc
import Testing

@testable import AsyncIOLoop

/// Counts when it is let go, once.
private final class Mark: Sendable {
    private let gone: Counter
    init(_ gone: Counter) { self.gone = gone }
    deinit { gone.add() }
}

/// C2, C3: other threads hand things to a loop while it shuts down, and after that.
@Suite("Loops that end while eight threads write to them")
struct ShutdownStressTests {
    @Test("lose no callback and no task, and are never woken when they are gone")
    func enqueueing() async throws {
        let rounds = Stress.count("loops that end under fire", few: 200, many: 10_000)
        let (posted, gone, ran, started, ended) = (Counter(), Counter(), Counter(), Counter(), Counter())
        try await Watchdog.onThread(limit: .seconds(1500)) {
            let target = Condition<(number: Int, loop: EventLoop?)>((0, nil))
            let writers = try (0..<8).map { _ in
                try SystemThread.start(name: "writer") {
                    var last = 0
                    while let next = target.wait({ $0.number > last ? $0 : nil }), let loop = next.loop {
                        last = next.number
                        for number in 0..<100 {
                            let mark = Mark(gone)
                            posted.add()
                            loop.callSoon { withExtendedLifetime(mark) { _ = ran.add() } }
                            guard number.isMultiple(of: 16) else { continue }
                            started.add()
                            Task(executorPreference: loop) { ended.add() }
                        }
                    }
                }
            }
            for round in 1...rounds {
                let thread = try LoopThread(options: .guest())
                let before = ran.value
                target.withLock { $0 = (round, thread.loop) }
                target.broadcast()
                // Some have run; of the others, many are under way.
                while ran.value < before + 8 { sched_yield() }
                thread.close()
            }
            target.withLock { $0 = (rounds + 1, nil) }
            target.broadcast()
            for writer in writers { writer.join() }
        }
        try await Watchdog.watch {
            while ended.value < started.value || gone.value < posted.value { await Task.yield() }
        }
        #expect(gone.value == posted.value && ended.value == started.value)
        #expect(ran.value >= 8 * rounds && ran.value <= posted.value)
    }
}
