import AsyncIO

extension Work {
    /// What tasks cost.
    static let tasks = [
        Work("call", "an async call of nothing", count: 20_000_000, most: 10_000_000_000) { count in
            try await Measurement.of(count) {
                var number = 0
                for _ in 0..<count { number = await next(number) }
                guard number == count else { throw WorkFailure(description: "a call was left out") }
            }
        },
        Work("switch", "a yield to another task", count: 500_000) { count in
            let turns = (count + 1) / 2
            return await Measurement.of(turns * 2) {
                await withDiscardingTaskGroup { group in
                    for _ in 0..<2 {
                        group.addTask { for _ in 0..<turns { await EventLoop.yield() } }
                    }
                }
            }
        },
        Work("task-switch", "the same by Task.yield", count: 500_000) { count in
            let turns = (count + 1) / 2
            return await Measurement.of(turns * 2) {
                await withDiscardingTaskGroup { group in
                    for _ in 0..<2 {
                        group.addTask { for _ in 0..<turns { await Task.yield() } }
                    }
                }
            }
        },
        Work("spawn", "a child, from start to end", count: 200_000) { count in
            await Measurement.of(count) {
                await withDiscardingTaskGroup { group in
                    for number in 1...count {
                        group.addTask {}
                        // At most a hundred at a time.
                        if number.isMultiple(of: 100) { await EventLoop.yield() }
                    }
                }
            }
        },
        Work("async-let", "one child, awaited at once", count: 200_000) { count in
            try await Measurement.of(count) {
                var sum = 0
                for number in 0..<count {
                    async let child = next(number)
                    sum &+= await child
                }
                guard sum == count * (count + 1) / 2 else { throw WorkFailure(description: "a child was lost") }
            }
        },
        Work("group", "a child in a group of ten", count: 200_000) { count in
            let groups = (count + 9) / 10
            return try await Measurement.of(groups * 10) {
                for _ in 0..<groups {
                    let sum = await withTaskGroup(of: Int.self) { group in
                        for number in 0..<10 { group.addTask { number } }
                        return await group.reduce(0, +)
                    }
                    guard sum == 45 else { throw WorkFailure(description: "a child was lost") }
                }
            }
        },
        Work("parked", "waits for what never comes", count: 100_000, most: 10_000_000, warmUp: 10) { count in
            let never = AsyncEvent(name: "never")
            return await withDiscardingTaskGroup { group in
                let before = Memory.peak
                let measurement = await Measurement.of(count) {
                    for _ in 0..<count { group.addTask { try? await never.wait() } }
                    while never.statistics.waiting < count { await EventLoop.yield() }
                }
                group.cancelAll()
                return measurement.addingBytesEach(since: before)
            }
        },
        Work("start", "exec to the first task", count: 1, most: 1, warmUp: 0) { _ in
            await Task {}.value
            return Stopwatch.process.stop(after: 1)
        },
    ]

    /// Next to nothing: what is called for no purpose at all, the optimizer leaves out.
    @inline(never)
    private static func next(_ number: Int) async -> Int { number &+ 1 }
}

extension Measurement {
    /// What each operation's memory is, by what the process's has grown.
    func addingBytesEach(since before: Int) -> Measurement {
        adding("bytes_each", (peak - before) * 1024 / operations)
    }
}
