import AsyncIO
import AsyncIOTestSupport
import Testing

@Suite("Tasks as they complete")
struct AsCompletedTests {
    @Test("each comes once, in the order of the ends, with its place", arguments: Setting.timeless)
    func order(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop in
            let tasks = [30, 10, 20].map { time in Task(executorPreference: loop) { try await loop.after(time) } }
            var seen: [Int] = []
            for try await (index, result) in asCompleted(tasks) { seen += [index, try result.get()] }
            #expect(seen == [1, 10, 2, 20, 0, 30])
        }
    }

    @Test("errors are results and end nothing", arguments: Setting.timeless)
    func errors(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop in
            let tasks = (0..<4).map { number in loop.submit { if number == 1 { throw Failure() } } }
            var failed: [Int] = []
            var count = 0
            for try await (index, result) in asCompleted(tasks) {
                count += 1
                if case .failure = result { failed.append(index) }
            }
            #expect(count == 4)
            #expect(failed == [1])
        }
    }

    @Test("ending the iteration early cancels no task", arguments: Setting.timeless)
    func early(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop in
            let tasks = [10, 20].map { time in loop.submit { try await loop.after(time) } }
            for try await (index, _) in asCompleted(tasks) {
                #expect(index == 0)
                break
            }
            try await expect(tasks[1].value, is: 20)
        }
    }

    @Test("each iteration sees all tasks", arguments: Setting.timeless)
    func again(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop in
            let completed = asCompleted((0..<3).map { number in loop.submit { number } })
            for _ in 0..<2 {
                var sum = 0
                for try await (_, result) in completed { sum += try result.get() }
                #expect(sum == 3)
            }
        }
    }

    @Test("no tasks, no turns", arguments: Setting.timeless)
    func none(setting: Setting) async throws {
        try await withVirtualTime(setting) { _ in
            for try await _ in asCompleted([Task<Int, Never>]()) { Issue.record("something out of nothing") }
        }
    }

    @Test("the same task twice comes twice", arguments: Setting.timeless)
    func twice(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop in
            let task = loop.submit { 5 }
            var places: Set<Int> = []
            for try await (index, _) in asCompleted([task, task]) { places.insert(index) }
            #expect(places == [0, 1])
        }
    }

    @Test(
        "errors that the iteration had and nobody took go to the error handler, once; those taken do not",
        arguments: Setting.timeless)
    func untakenErrors(setting: Setting) async throws {
        let errors = Errors()
        try await withVirtualTime(setting, errors: errors) { loop in
            let tasks = (0..<4).map { number in
                loop.spawn(name: "task \(number)") { () async throws -> Int in
                    if number < 3 { throw Failure(number: number) }
                    return try await loop.after(100)
                }
            }
            for try await (index, result) in asCompleted(tasks) {
                if case .success = result { Issue.record("\(index) has failed") }
                await loop.settle()
                #expect(errors.all.isEmpty)
                break
            }
            try await expect(tasks[3].value, is: 100)
        }
        #expect(errors.contexts.count == 2 && Set(errors.contexts).count == 2)
        #expect(errors.all.allSatisfy { $0.place.contains("AsCompletedTests.swift") })
    }

    @Test("the first of several errors is taken, the others go to the error handler", arguments: Setting.timeless)
    func waitFirstErrors(setting: Setting) async throws {
        let errors = Errors()
        try await withVirtualTime(setting, errors: errors) { loop in
            let tasks = (0..<3).map { number in
                loop.spawn { () async throws -> Int in throw Failure(number: number) }
            }
            _ = try await waitFirst(of: tasks)
            await loop.settle()
        }
        #expect(errors.all.count == 2)
    }

    @Test("an error that another one awaits as well is his: it is not reported", arguments: Setting.timeless)
    func sharedErrors(setting: Setting) async throws {
        let errors = Errors()
        try await withVirtualTime(setting, errors: errors) { loop in
            let task = loop.spawn { () async throws -> Int in
                _ = try await loop.after(10)
                throw Failure(number: 1)
            }
            let other = loop.submit { try await task.value }
            var iterator: CompletedTasks<BackgroundTask<Int>>.AsyncIterator? = asCompleted([task]).makeAsyncIterator()
            _ = try await loop.after(20)
            await #expect(throws: Failure(number: 1)) { try await other.value }
            withExtendedLifetime(iterator) {}
            iterator = nil
        }
        #expect(errors.all.isEmpty)
    }

    @Test("cancelling the iteration ends it at once, and leaves the tasks alone", arguments: Setting.timeless)
    func cancelled(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop in
            let task = loop.submit { try await loop.after(100) }
            let iteration = loop.submit { for try await _ in asCompleted([task]) {} }
            await loop.settle()
            iteration.cancel()
            await #expect(throws: CancellationError.self) { try await iteration.value }
            try await expect(task.value, is: 100)
        }
    }
}

@Suite("Work as it completes")
struct CompletedWorkTests {
    @Test("results come in the order of the ends, each once", arguments: [1, 3, 100], Setting.timeless)
    func order(limit: Int, setting: Setting) async throws {
        try await withVirtualTime(setting) { loop in
            var seen: [Int] = []
            for try await (index, result) in asCompleted([30, 10, 20], limit: limit, { try await loop.after($0) }) {
                #expect(try result.get() == [30, 10, 20][index])
                seen.append(index)
            }
            #expect(seen == (limit == 1 ? [0, 1, 2] : [1, 2, 0]))
        }
    }

    @Test(
        "never more than the limit are under way, results that nobody took among them", arguments: [1, 2, 5],
        Setting.timeless)
    func limit(limit: Int, setting: Setting) async throws {
        try await withVirtualTime(setting) { loop in
            let (started, occupancy) = (Counter(), Occupancy())
            var taken = 0
            let results = asCompleted(0..<20, limit: limit) { _ in
                started.add()
                return try await occupancy.visit { try await loop.after(1) }
            }
            for try await _ in results {
                taken += 1
                _ = try await loop.after(10)
                #expect(started.value <= taken + limit)
            }
            #expect(taken == 20)
            #expect(occupancy.peak == limit)
        }
    }

    @Test("ending the iteration early cancels what runs, and takes no more inputs", arguments: Setting.timeless)
    func early(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop in
            let (taken, occupancy) = (Counter(), Occupancy())
            let inputs = sequence(first: 1) { $0 + 1 }.lazy.map { number in
                taken.add()
                return number
            }
            let results = asCompleted(inputs, limit: 3) { number in
                try await occupancy.visit { try await loop.after(number * 10) }
            }
            for try await (index, _) in results {
                #expect(index == 0)
                break
            }
            await until { occupancy.current == 0 }
            #expect(taken.value == 4)
            #expect(await loop.statistics.backgroundTasks <= 1)
        }
    }

    @Test("cancelling the task that iterates cancels the work", arguments: Setting.timeless)
    func cancelled(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop in
            let occupancy = Occupancy()
            let iteration = loop.submit {
                for try await _ in asCompleted(
                    0..<5, limit: 2,
                    { _ in
                        try await occupancy.visit { try await untilCancelled(loop) }
                    })
                {}
            }
            await until { occupancy.current == 2 }
            iteration.cancel()
            await #expect(throws: CancellationError.self) { try await iteration.value }
            await until { occupancy.current == 0 }
        }
    }

    @Test("an error is a result and cancels nobody", arguments: Setting.timeless)
    func errors(setting: Setting) async throws {
        let errors = Errors()
        try await withVirtualTime(setting, errors: errors) { loop in
            var (failed, succeeded) = (0, 0)
            for try await (_, result) in asCompleted(
                0..<10, limit: 3,
                { number in
                    _ = try await loop.after(number)
                    if number.isMultiple(of: 2) { throw Failure() }
                })
            {
                if case .failure = result { failed += 1 } else { succeeded += 1 }
            }
            #expect(failed == 5)
            #expect(succeeded == 5)
        }
        #expect(errors.all.isEmpty)
    }

    @Test("no inputs, no turns; without a loop it says so", arguments: Setting.timeless)
    func none(setting: Setting) async throws {
        try await withVirtualTime(setting) { _ in
            for try await _ in asCompleted([Int](), limit: 2, { $0 }) { Issue.record("something out of nothing") }
        }
        await #expect(throws: EventLoopError.noLoop) { for try await _ in asCompleted([1], limit: 2, { $0 }) {} }
    }

    @Test(
        "errors of work that nobody took, and of work that is left behind, go to the error handler",
        arguments: Setting.timeless)
    func untakenErrors(setting: Setting) async throws {
        let errors = Errors()
        try await withVirtualTime(setting, errors: errors) { loop in
            let work = asCompleted(0..<4, limit: 4, name: "work") { number in
                if number == 3 { try? await untilCancelled(loop) }
                throw Failure(number: number)
            }
            var taken: Int?
            for try await (number, result) in work {
                if case .success = result { Issue.record("all fail") }
                taken = number
                await loop.settle()
                break
            }
            await loop.settle()
            // Which one comes first, a simulation draws.
            let left = (0..<4).filter { $0 != taken }.map { "work \($0)" }
            #expect(errors.contexts.sorted() == left && left.count == 3)
        }
        #expect(errors.all.allSatisfy { $0.place.contains("AsCompletedTests.swift") })
    }

    @Test("the work has the caller's task locals and deadlines", arguments: Setting.timeless)
    func locals(setting: Setting) async throws {
        try await withVirtualTime(setting) { _ in
            try await Mark.$value.withValue(7) {
                try await withTimeout(.seconds(10)) { deadline in
                    for try await (_, result) in asCompleted(0..<2, limit: 2, { _ in (Mark.value, Deadline.effective) })
                    {
                        let (mark, limit) = try result.get()
                        #expect(mark == 7)
                        #expect(limit == deadline.expiration)
                    }
                }
            }
        }
    }
}
