import AsyncIO
import AsyncIOLoop

// Suspensions in what this package offers.

extension Shape {
    static let library = [
        Shape("stream read", ["reader()"]) { try await reader() },
        Shape("buffered read", ["buffered()"]) { try await buffered() },
        Shape("sleep of the loop", ["sleeper()"]) { try await sleeper() },
        Shape("lock", ["locks(_:)", "closure #1 in locker()"]) { try await locker() },
        Shape("lock around a body", ["closure #1 in holder()", "holder()"]) { try await holder() },
        Shape("queue", ["consumer()"]) { try await consumer() },
        Shape("semaphore", ["taker()"]) { try await taker() },
        Shape("event", ["waiter()"]) { try await waiter() },
        Shape("timeout", ["patient()"]) { try await patient() },
        Shape("body of a timeout", ["closure #1 in limited()"]) { try await limited() },
        Shape("gather", ["gatherer()"]) { try await gatherer() },
        Shape("child of gather", ["part(_:)", "closure #1 in gathered()"]) { try await gathered() },
        Shape("race", ["racer()"]) { try await racer() },
        Shape("task scope", ["scoped()"]) { try await scoped() },
        Shape("spawned by the loop", ["part(_:)", "closure #1 in spawner()"]) { await spawner() },
    ]
}

private func part(_ name: String) async -> Int {
    Roll.enter(name)
    await hang()
    return 1
}

private func reader() async throws {
    let (left, right) = try await UnixStream.pair()
    Roll.enter("stream read")
    print(try await left.read() ?? [])
    right.close()
}

private func buffered() async throws {
    let (left, right) = try await UnixStream.pair()
    let reader = BufferedReader(left)
    Roll.enter("buffered read")
    print(try await reader.read(exactly: 10))
    right.close()
}

private func sleeper() async throws {
    Roll.enter("sleep of the loop")
    try await EventLoop.current?.sleep(for: .seconds(1000))  // sleeps: to be looked at
    print("awake")
}

private func locker() async throws {
    let lock = AsyncLock()
    let hold = try await lock.acquire()
    async let second: Void = locks(lock)
    try await second
    hold.release()
}

private func locks(_ lock: AsyncLock) async throws {
    Roll.enter("lock")
    let hold = try await lock.acquire()
    print("locked")
    hold.release()
}

private func holder() async throws {
    try await AsyncLock().withLock {
        Roll.enter("lock around a body")
        await hang()
        print("held")
    }
    print("released")
}

private func consumer() async throws {
    let queue = AsyncQueue<Int>(capacity: 1)
    Roll.enter("queue")
    print(try await queue.get())
}

private func taker() async throws {
    let semaphore = AsyncSemaphore(permits: 1)
    let permit = try await semaphore.acquire()
    Roll.enter("semaphore")
    let another = try await semaphore.acquire()
    another.release()
    permit.release()
}

private func waiter() async throws {
    let event = AsyncEvent()
    Roll.enter("event")
    try await event.wait()
    print("set")
}

private func patient() async throws {
    Roll.enter("timeout")
    try await withTimeout(.seconds(1000)) { await hang() }
    print("done")
}

private func limited() async throws {
    try await withTimeout(.seconds(1000)) {
        Roll.enter("body of a timeout")
        await hang()
        print("in time")
    }
}

private func gatherer() async throws {
    Roll.enter("gather")
    let (one, two) = try await gather({ await part("-") }, { await part("-") })
    print(one + two)
}

private func gathered() async throws {
    let (one, two) = try await gather({ await part("child of gather") }, { await part("-") })
    print(one + two)
}

private func racer() async throws {
    Roll.enter("race")
    let winner = try await race({ await part("-") }, { await part("-") })
    print(winner)
}

private func scoped() async throws {
    Roll.enter("task scope")
    try await withTaskScope { scope in
        try scope.spawn { _ = await part("-") }
    }
    print("scoped")
}

private func spawner() async {
    EventLoop.current?.spawn { _ = await part("spawned by the loop") }
}
