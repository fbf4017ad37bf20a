import AsyncIO

/// Every way in which Swift runs a task. After takeover each of them is on the main thread.
package enum Executors {
    package static func all() async throws {
        guard let loop = EventLoop.current else { return Report.line("no loop") }
        Report.thread("body", isOnMainThread)
        await plainTasks()
        await children()
        try await actors(loop)
        try await sleepers()
        await resumptions()
        try await otherLoops()
        Report.thread("body at the end", isOnMainThread)
        Report.line("is current: \(loop.isCurrent)")
    }

    private static func plainTasks() async {
        Report.thread("Task{}", await Task { isOnMainThread }.value)
        Report.thread("Task.detached", await Task.detached { isOnMainThread }.value)
        Report.thread("Task.immediate", await Task.immediate { isOnMainThread }.value)
        let immediate = await Task.immediate {
            await Task.yield()
            return isOnMainThread
        }.value
        Report.thread("Task.immediate after yield", immediate)
        for raw: UInt8 in [1, 5, 9, 17, 21, 25, 28, 33, 127, 255] {
            let task = Task(priority: TaskPriority(rawValue: raw)) { isOnMainThread }
            Report.thread("priority \(raw)", await task.value)
        }
        Report.thread("@concurrent", await concurrent())
        await Task.yield()
        Report.thread("after yield", isOnMainThread)
    }

    @concurrent private static func concurrent() async -> Bool {
        await Task.yield()
        return isOnMainThread
    }

    private static func children() async {
        async let child = isOnMainThread
        async let later = concurrent()
        Report.thread("async let", await child)
        Report.thread("async let of a concurrent function", await later)
        let group = await withTaskGroup(of: Bool.self) { group in
            for _ in 0..<10 {
                group.addTask {
                    await Task.yield()
                    return isOnMainThread
                }
            }
            return await group.reduce(true) { $0 && $1 }
        }
        Report.thread("group", group)
        let witness = Witness()
        await withDiscardingTaskGroup { group in
            for _ in 0..<10 { group.addTask { await witness.note(isOnMainThread) } }
        }
        Report.thread("discarding group", await witness.isAllHome)
    }

    private static func actors(_ loop: EventLoop) async throws {
        let witness = Witness()
        await witness.note(true)
        Report.thread("default actor", await witness.isHome)
        Report.thread("@MainActor function", await onMainActor())
        Report.thread("MainActor.run", await MainActor.run { isOnMainThread })
        Report.thread("Task{@MainActor}", await Task { @MainActor in isOnMainThread }.value)
        Report.thread("global actor", await onGlobalActor())
        let resident = Resident(loop: loop)
        Report.thread("loop actor", await resident.isHome)
        Report.thread("loop actor after sleep", try await resident.sleeps())
        Report.thread("assumeIsolated", assumed(resident))
    }

    private static func assumed(_ resident: Resident) -> Bool { resident.assumeIsolated { _ in isOnMainThread } }

    @MainActor private static func onMainActor() async -> Bool {
        let before = isOnMainThread
        await Task.yield()
        MainActor.preconditionIsolated()
        return before && isOnMainThread
    }

    @ProbeActor private static func onGlobalActor() async -> Bool {
        await Task.yield()
        return isOnMainThread
    }

    private static func sleepers() async throws {
        let start = Instant.monotonicNow
        try await Task.sleep(for: .milliseconds(5))  // sleeps: is what is tested
        Report.thread("after Task.sleep", isOnMainThread)
        try await Task.sleep(for: .milliseconds(5), clock: .suspending)  // sleeps: is what is tested
        Report.thread("after sleep on the suspending clock", isOnMainThread)
        try await Task.sleep(until: .now + .milliseconds(5), clock: .continuous)  // sleeps: is what is tested
        Report.thread("after sleep until", isOnMainThread)
        try await Task.sleep(nanoseconds: 5_000_000)  // sleeps: is what is tested
        Report.thread("after sleep of nanoseconds", isOnMainThread)
        Report.line("slept long enough: \(start.duration(to: .monotonicNow) >= .milliseconds(20))")
        let homes = try await withThrowingTaskGroup(of: Bool.self) { group in
            for number in 0..<1000 {
                group.addTask {
                    try await Task.sleep(for: .microseconds(number * 50))  // sleeps: is what is tested
                    return isOnMainThread
                }
            }
            return try await group.reduce(into: 0) { $0 += $1 ? 1 : 0 }
        }
        Report.line("sleepers at home: \(homes)")
        let sleeper = Task { try await Task.sleep(for: .seconds(1000)) }  // sleeps: is cancelled
        await Task.yield()
        sleeper.cancel()
        let result = await sleeper.result
        Report.line("a cancelled sleep ends: \((try? result.get()) == nil)")
    }

    private static func resumptions() async {
        let (stream, feed) = AsyncStream.makeStream(of: Int.self)
        foreignThread {
            for number in 0..<100 { feed.yield(number) }
            feed.finish()
        }
        var (count, homes) = (0, 0)
        for await _ in stream {
            count += 1
            homes += isOnMainThread ? 1 : 0
        }
        Report.line("stream fed by a foreign thread: \(count) items, \(homes) at home")
        await withCheckedContinuation { continuation in foreignThread { continuation.resume() } }
        Report.thread("continuation resumed by a foreign thread", isOnMainThread)
        let task = await withCheckedContinuation { continuation in
            foreignThread { continuation.resume(returning: Task { isOnMainThread }) }
        }
        Report.thread("Task{} of a foreign thread", await task.value)
    }

    private static func otherLoops() async throws {
        let other = try LoopThread()
        let wasElsewhere = try await other.loop.submit { !isOnMainThread }.value
        Report.line("another loop is elsewhere: \(wasElsewhere)")
        Report.thread("after another loop's task", isOnMainThread)
        let resident = Resident(loop: other.loop)
        Report.line("its actor is elsewhere: \(await !resident.isHome)")
        Report.thread("after a call to its actor", isOnMainThread)
        var isHome = true
        for _ in 0..<1000 {
            await resident.nothing()
            isHome = isHome && isOnMainThread
        }
        Report.thread("after a thousand calls to its actor", isHome)
        let (stream, feed) = AsyncStream.makeStream(of: Int.self)
        other.loop.spawn {
            for number in 0..<100 {
                feed.yield(number)
                await Task.yield()
            }
            feed.finish()
        }
        for await _ in stream { isHome = isHome && isOnMainThread }
        Report.thread("stream fed by another loop", isHome)
        let plain = other.loop.submit { await Task { isOnMainThread }.value }
        Report.thread("Task{} of another loop", try await plain.value)
        let stays = other.loop.submit {
            await MainActor.run {}
            await Task.yield()
            return !isOnMainThread
        }
        Report.line("it stays there after a visit here: \(try await stays.value)")
        await other.shutdown()
        Report.thread("after the other loop's end", isOnMainThread)
    }

    static func foreignThread(_ body: @escaping @Sendable () -> Void) {
        do { try SystemThread.start(name: "foreign", body).detach() } catch { Report.line("no thread: \(error)") }
    }
}

@globalActor private actor ProbeActor {
    static let shared = ProbeActor()
}

private actor Witness {
    private(set) var isAllHome = true
    var isHome: Bool { isOnMainThread }
    func note(_ isHome: Bool) { isAllHome = isAllHome && isHome && isOnMainThread }
}

private actor Resident: LoopActor {
    nonisolated let loop: EventLoop
    init(loop: EventLoop) { self.loop = loop }
    var isHome: Bool { isOnMainThread }
    func nothing() {}
    func sleeps() async throws -> Bool {
        try await Task.sleep(for: .milliseconds(1))  // sleeps: is what is tested
        preconditionIsolated()
        return isOnMainThread
    }
}
