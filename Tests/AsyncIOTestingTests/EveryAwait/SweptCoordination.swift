import AsyncIO
import AsyncIOTestSupport
import AsyncIOTesting

extension SweptOperation {
    @Sendable private static func nap(_ loop: EventLoop, _ seconds: Int) async throws -> Int {
        try await loop.sleep(for: .seconds(seconds))
        return seconds
    }

    static let coordination: [SweptOperation] = [
        SweptOperation("EventLoop.sleep") { loop in try await loop.sleep(for: .seconds(1)) },
        SweptOperation("LoopClock.sleep") { loop in
            try await loop.clock.sleep(until: loop.now.advanced(by: .seconds(1)))
        },
        SweptOperation("EventLoop.yield") { _ in for _ in 0..<3 { await EventLoop.yield() } },
        SweptOperation("offload") { loop in _ = try await loop.offload { 1 } },
        SweptOperation("BackgroundTask.value") { loop in
            let task = loop.spawn(name: "work") { try await nap(loop, 1) }
            defer { task.cancel() }
            _ = try await task.value
        },
        SweptOperation("gather") { loop in
            _ = try await gather({ try await nap(loop, 1) }, { try await nap(loop, 2) }, { try await nap(loop, 3) })
        },
        SweptOperation("gatherEach") { loop in
            _ = try await gatherEach([3, 1, 2, 1], limit: 2) { try await nap(loop, $0) }
        },
        SweptOperation("gatherResults, gatherEachResult") { loop in
            _ = await gatherResults({ try await nap(loop, 1) }, { try await nap(loop, 2) })
            _ = try await gatherEachResult([1, 2], limit: 1) { try await nap(loop, $0) }
        },
        SweptOperation("race") { loop in
            _ = try await race({ try await nap(loop, 2) }, { try await nap(loop, 1) })
        },
        SweptOperation("staggeredRace") { loop in
            _ = try await staggeredRace([5, 4, 1], delay: .seconds(1), attempt: { try await nap(loop, $0) })
        },
        SweptOperation("asCompleted") { loop in
            for try await _ in asCompleted([3, 1, 2], limit: 2, { try await nap(loop, $0) }) {}
        },
        SweptOperation("withTimeout that expires", accepting: { $0 is TimeoutError }) { loop in
            do { try await withTimeout(.seconds(1)) { _ = try await nap(loop, 5) } } catch is TimeoutError {}
            _ = try await withTimeout(.seconds(5)) { try await nap(loop, 1) }
        },
        SweptOperation("withDeadline, moved") { loop in
            do {
                try await withDeadline(loop.now.advanced(by: .seconds(1))) { deadline in
                    deadline.reschedule(to: loop.now.advanced(by: .seconds(3)))
                    _ = try await nap(loop, 2)
                    _ = try await nap(loop, 2)
                }
            } catch is TimeoutError {}
        },
        SweptOperation("withTimeout, orAbandon") { loop in
            _ = try await withTimeout(.seconds(5), orAbandon: "body") { try await nap(loop, 1) }
            do {
                _ = try await withTimeout(.seconds(1), orAbandon: "slow") { try await nap(loop, 5) }
            } catch is TimeoutError {}
        },
        SweptOperation("withTaskScope") { loop in
            try await withTaskScope { scope in
                try scope.spawn(name: "one") { _ = try await nap(loop, 1) }
                try scope.spawn(name: "two") { _ = try await nap(loop, 2) }
                _ = try await nap(loop, 1)
            }
        },
        SweptOperation("TaskScope.start") { loop in
            try await withTaskScope { scope in
                let port: Int = try await scope.start(name: "server") { started in
                    _ = try await nap(loop, 1)
                    started(80)
                    _ = try await nap(loop, 5)
                }
                _ = try await nap(loop, port > 0 ? 1 : 2)
                scope.cancel()
            }
        },
        SweptOperation("shield") { loop in
            (loop, Counter())
        } _: { loop, done in
            _ = try await shield(name: "shielded") {
                _ = try await nap(loop, 1)
                done.add()
            }
        } then: { loop, done in
            _ = try await nap(loop, 5)
            try expect(done.value == 1, "shielded work was done \(done.value) times")
        },
        SweptOperation("withCleanup") { loop in
            Log<String>()
        } _: { log in
            guard let loop = EventLoop.current else { return }
            try await withCleanup(limit: .seconds(10)) {
                log.add("begun")
                _ = try await nap(loop, 1)
            } cleanup: { _ in
                _ = try await nap(loop, 1)
                log.add("cleaned")
            }
        } then: { log in
            try expect(log.all == ["begun", "cleaned"], "\(log.all)")
        },
        SweptOperation("TaskTracker") { loop in
            TaskTracker(on: loop)
        } _: { tracker in
            guard let loop = EventLoop.current else { return }
            for seconds in 1...3 { _ = try tracker.spawn { try await nap(loop, seconds) } }
            tracker.close()
            try await tracker.wait()
        } then: { tracker in
            tracker.close()
            try await tracker.wait()
        },
        SweptOperation("CancellationToken.run, waitUntilCancelled") { loop in
            let token = CancellationToken()
            _ = try await token.run { try await nap(loop, 1) }
            let call = loop.callLater(.seconds(1)) { token.cancel() }
            defer { call.cancel() }
            try await token.waitUntilCancelled()
        },
    ]
}
