import AsyncIO
import AsyncIOTestSupport
import Testing

@Suite("Cancelling a task scope")
struct ScopeCancellationTests {
    @Test(
        "cancelled from outside: body and children are cancelled and awaited, and it stays CancellationError",
        arguments: Setting.timeless)
    func outside(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop in
            let occupancy = Occupancy()
            let task = loop.submit {
                try await withTaskScope { scope in
                    for _ in 0..<3 {
                        try scope.spawn { try await occupancy.visit { try await untilCancelled(loop) } }
                    }
                    try await occupancy.visit { try await untilCancelled(loop) }
                }
            }
            await until { occupancy.current == 4 }
            task.cancel()
            await #expect(throws: CancellationError.self) { try await task.value }
            #expect(occupancy.current == 0)
        }
    }

    @Test(
        "cancelled from outside after the body's end: what was cut short is not passed off as done",
        arguments: Setting.timeless)
    func outsideAfterBody(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop in
            let task = loop.submit {
                try await withTaskScope { scope in
                    try scope.spawn { try await untilCancelled(loop) }
                    return 5
                }
            }
            await loop.settle()
            task.cancel()
            await #expect(throws: CancellationError.self) { _ = try await task.value }
        }
    }

    @Test(
        "cancelled from outside, with all ending well in spite of it: the value comes back", arguments: Setting.timeless
    )
    func outsideIgnored(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop in
            let task = loop.submit {
                try await withTaskScope { scope in
                    try scope.spawn { await deaf(loop, 20) }
                    return 5
                }
            }
            await loop.settle()
            task.cancel()
            try await expect(task.value, is: 5)
        }
    }

    @Test("error and cancellation from outside at once: the errors come, none is silent", arguments: Setting.timeless)
    func errorAndCancellation(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop in
            let task = loop.submit {
                try await withTaskScope { scope in
                    try scope.spawn(name: "bad") {
                        try? await untilCancelled(loop)
                        throw Failure(number: 6)
                    }
                    try await untilCancelled(loop)
                }
            }
            await loop.settle()
            task.cancel()
            do {
                try await task.value
                Issue.record("a child failed")
            } catch let error as TaskScopeError {
                #expect(error.errors.map(\.name) == ["bad"])
            }
        }
    }

    @Test("a task that is cancelled already starts nothing", arguments: Setting.timeless)
    func cancelledBefore(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop in
            let ran = Counter()
            let task = loop.submit {
                try? await untilCancelled(loop)
                _ = try await withTaskScope { _ in ran.add() }
            }
            await loop.settle()
            task.cancel()
            await #expect(throws: CancellationError.self) { try await task.value }
            #expect(ran.value == 0)
        }
    }

    @Test(
        "cancelled by cancel() from inside, a scope whose body returns nothing ends without an error",
        arguments: Setting.timeless)
    func cancelInside(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop in
            let cancelled = Counter()
            try await withTaskScope { scope in
                try scope.spawn {
                    defer { cancelled.add() }
                    try await untilCancelled(loop)
                }
                await loop.settle()
                scope.cancel()
                #expect(scope.isCancelled)
                try await untilCancelled(loop)
            }
            #expect(cancelled.value == 1)
            #expect(!Task.isCancelled)
        }
    }

    @Test("cancelled by cancel() from outside or by a child, likewise", arguments: Setting.timeless)
    func cancelOutside(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop in
            try await withTaskScope { scope in
                _ = loop.callLater(.milliseconds(10)) { scope.cancel() }
                try await untilCancelled(loop)
            }
            try await withTaskScope { scope in
                try scope.spawn { scope.cancel() }
                try await untilCancelled(loop)
            }
        }
    }

    @Test(
        "cancelled by cancel(), the value of a body that has one is kept; one that was cut short has none",
        arguments: Setting.timeless)
    func cancelWithValue(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop in
            let value = try await withTaskScope { scope in
                try scope.spawn { try await untilCancelled(loop) }
                scope.cancel()
                return 5
            }
            #expect(value == 5)
            await #expect(throws: CancellationError.self) {
                try await withTaskScope { scope in
                    scope.cancel()
                    return try await loop.after(1000)
                }
            }
        }
    }

    @Test("after cancel(), an error is an error", arguments: Setting.timeless)
    func cancelAndError(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop in
            await #expect(throws: TaskScopeError.self) {
                try await withTaskScope { scope in
                    try scope.spawn {
                        try? await untilCancelled(loop)
                        throw Failure()
                    }
                    await loop.settle()
                    scope.cancel()
                }
            }
        }
    }

    @Test("after cancel(), the caller's own cancellation is still told", arguments: Setting.timeless)
    func cancelAndOutside(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop in
            let task = loop.submit {
                try await withTaskScope { scope in
                    scope.cancel()
                    try? await untilCancelled(loop)
                    await deaf(loop, 20)
                    try Task.checkCancellation()
                }
            }
            _ = try await loop.after(10)
            task.cancel()
            await #expect(throws: CancellationError.self) { try await task.value }
        }
    }

    @Test("a child spawned in a cancelled scope runs, and is cancelled from the start", arguments: Setting.timeless)
    func spawnAfterCancel(setting: Setting) async throws {
        try await withVirtualTime(setting) { _ in
            let log = Log<Bool>()
            try await withTaskScope { scope in
                scope.cancel()
                try scope.spawn { log.add(Task.isCancelled) }
            }
            #expect(log.all == [true])
        }
    }

    @Test(
        "a child spawned by clean-up, after a cancellation from outside, runs and is cancelled, too",
        arguments: Setting.timeless)
    func spawnAfterOutside(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop in
            let log = Log<Bool>()
            let task = loop.submit {
                try await withTaskScope { scope in
                    try? await untilCancelled(loop)
                    try scope.spawn { log.add(Task.isCancelled) }
                }
            }
            await loop.settle()
            task.cancel()
            try await task.value
            #expect(log.all == [true])
        }
    }

    @Test("wherever the cancellation comes, nobody is left inside", arguments: Setting.timeless)
    func cancelledAnywhere(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop in
            for turns in 0..<40 {
                let occupancy = Occupancy()
                let task = loop.submit {
                    try await withTaskScope { scope in
                        for number in 0..<4 {
                            try scope.spawn {
                                try await occupancy.visit { for _ in 0..<number { try await loop.sleep(for: .zero) } }
                                try scope.spawn { try await occupancy.visit { try await loop.sleep(for: .zero) } }
                            }
                            try await loop.sleep(for: .zero)
                        }
                    }
                }
                for _ in 0..<turns { await EventLoop.yield() }
                task.cancel()
                do { try await task.value } catch { #expect(error is CancellationError) }
                #expect(occupancy.current == 0)
            }
        }
    }
}
