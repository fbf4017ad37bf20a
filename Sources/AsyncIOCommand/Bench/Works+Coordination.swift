import AsyncIO

extension Work {
    /// What tasks pay to work together.
    static let coordination = [
        Work("queue", "an item through a queue of 64", count: 1_000_000) { count in
            let queue = AsyncQueue<Int>(capacity: 64)
            return try await Measurement.of(count) {
                async let putting: Void = {
                    for number in 0..<count { try await queue.put(number) }
                    queue.finish()
                }()
                var sum = 0
                while let number = try await queue.next() { sum &+= number }
                try check(sum == count * (count - 1) / 2)
                try await putting
            }
        },
        Work("hand-over", "there and back, queues of one", count: 200_000) { count in
            let (there, back) = (AsyncQueue<Int>(capacity: 1), AsyncQueue<Int>(capacity: 1))
            return try await Measurement.of(count) {
                async let answering: Void = {
                    while let number = try await there.next() { try await back.put(number) }
                }()
                for number in 0..<count {
                    try await there.put(number)
                    try check(await back.get() == number)
                }
                there.finish()
                try await answering
            }
        },
        Work("cross", "the same between two threads", count: 20_000) { count in
            try await withTwoLoops { other in
                let (there, back) = (AsyncQueue<Int>(capacity: 1), AsyncQueue<Int>(capacity: 1))
                let answering = other.spawn(name: "answering") {
                    while let number = try await there.next() { try await back.put(number) }
                }
                let measurement = try await Measurement.of(count) {
                    for number in 0..<count {
                        try await there.put(number)
                        try check(await back.get() == number)
                    }
                }
                there.finish()
                try await answering.value
                return measurement
            }
        },
        Work("lock", "a lock that nobody else wants", count: 2_000_000) { count in
            let lock = AsyncLock()
            return try await Measurement.of(count) {
                var sum = 0
                for number in 0..<count { try await lock.withLock { sum &+= number } }
                try check(sum == count * (count - 1) / 2)
            }
        },
        Work("timeout", "a withTimeout that holds", count: 100_000) { count in
            try await Measurement.of(count) {
                var sum = 0
                for number in 0..<count { try await withTimeout(.seconds(10)) { sum &+= number } }
                try check(sum == count * (count - 1) / 2)
            }
        },
    ]

    private static func check(_ isRight: Bool) throws {
        guard isRight else { throw WorkFailure(description: "an item was lost") }
    }

    /// Runs a body with a second loop, on a thread of its own, that asks the system as this one does.
    static func withTwoLoops<Value>(
        _ body: nonisolated(nonsending) (EventLoop) async throws -> Value
    ) async throws -> Value {
        let driver = DriverChoice(rawValue: try EventLoop.here().driverName) ?? .auto
        let thread = try LoopThread(options: EventLoop.Options(name: "other", driver: driver, interrupts: []))
        let value = try await body(thread.loop)
        await thread.shutdown(grace: .seconds(5))
        return value
    }
}
