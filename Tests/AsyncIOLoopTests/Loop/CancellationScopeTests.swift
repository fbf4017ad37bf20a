import AsyncIOKernel
import AsyncIOTestSupport
import CAsyncIO
import Glibc
import SystemPackage
import Testing

@testable import AsyncIOLoop

/// Where waits by continuations are asked for, there are no scopes, and all of this holds as well.
@Suite("One cancellation record for all waits of a task")
struct CancellationScopeTests {
    private static let isWanted = unsafe getenv("ASYNCIO_SUSPENSION") == nil

    /// Whether the task that runs here is in a scope.
    private static var isInside: Bool {
        guard casyncio_task_layout_is_known(), let task = unsafe swift_task_getCurrent() else { return false }
        return unsafe casyncio_cancellation_scope(task) != nil
    }

    /// In a scope of the loop.
    private nonisolated(nonsending) static func scoped<Success: Sendable>(
        on loop: EventLoop, _ body: nonisolated(nonsending) () async -> Success
    ) async -> Success {
        let scope = CancellationScope.begin(on: loop)
        let result = await body()
        CancellationScope.end(scope)
        return result
    }

    private nonisolated(nonsending) static func waitForever(_ pipe: borrowing Pipe, _ loop: EventLoop) async -> Int {
        await loop.perform(.waitReadable(pipe.reader.number)).result
    }

    @Test("is found from within handlers and groups of the code, by no child, and is gone with the code")
    func found() async throws {
        let found = try await Guest.run { loop in
            var found = [Self.isInside]
            found += await Self.scoped(on: loop) {
                var found = [Self.isInside]
                await withTaskCancellationHandler {
                    found.append(Self.isInside)
                    await withTaskGroup { group in
                        group.addTask { Self.isInside }
                        for await isInside in group { found += [isInside, Self.isInside] }
                    }
                } onCancel: {
                }
                async let child = Self.isInside
                await found.append(child)
                return found
            }
            return found + [Self.isInside]
        }
        let own = Self.isWanted
        #expect(found == [false, own, own, false, own, false, false])
    }

    @Test("brings the task's cancellation to what it waits for, from whatever thread", arguments: Drivers.available)
    func cancelled(driver: DriverChoice) async throws {
        let results = try await Guest.run(.guest(driver)) { loop in
            var results: [Int] = []
            for round in 0..<40 {
                let started = Gate()
                let task = Task(executorPreference: loop) {
                    await Self.scoped(on: loop) {
                        guard let pipe = try? Pipe() else { return -1 }
                        Bytes.write(1, to: pipe.writer.number)
                        // A wait that ends by itself comes before.
                        _ = await Self.waitForever(pipe, loop)
                        Bytes.read(1, from: pipe.reader.number)
                        started.open()
                        return await Self.waitForever(pipe, loop)
                    }
                }
                await started.pass()
                if round % 2 == 0 {
                    task.cancel()
                } else {
                    try SystemThread.start(name: "canceller") { task.cancel() }.join()
                }
                results.append(await task.value)
                await loop.expectSoundSlots()
            }
            return results
        }
        #expect(results == Array(repeating: Errno.canceled.negated, count: 40))
    }

    @Test("hears of a cancellation that came between an operation's start and the wait", arguments: Drivers.available)
    func cancelledEarly(driver: DriverChoice) async throws {
        let result = try await Guest.run(.guest(driver)) { loop in
            await Task(executorPreference: loop) {
                await Self.scoped(on: loop) {
                    guard let pipe = try? Pipe() else { return -1 }
                    let operation = Operation.waitReadable(pipe.reader.number)
                    let begun = loop.begin(operation)
                    unsafe withUnsafeCurrentTask { unsafe $0?.cancel() }
                    await EventLoop.yield()
                    return await loop.finish(operation, begun).result
                }
            }.value
        }
        #expect(result == Errno.canceled.negated)
    }

    @Test("leaves waits on another loop to themselves", arguments: Drivers.available)
    func otherLoop(driver: DriverChoice) async throws {
        let result = try await Guest.run(.guest(driver)) { loop in
            let thread = try LoopThread(options: .guest(name: "other"))
            let started = Gate()
            let task = Task(executorPreference: loop) {
                await Self.scoped(on: loop) {
                    guard let pipe = try? Pipe() else { return -1 }
                    return await withTaskExecutorPreference(thread.loop) {
                        started.open()
                        return await Self.waitForever(pipe, thread.loop)
                    }
                }
            }
            await started.pass()
            task.cancel()
            let result = await task.value
            await thread.shutdown()
            return result
        }
        #expect(result == Errno.canceled.negated)
    }

    @Test("leaves the code's own handlers alone", arguments: Drivers.available)
    func handlers(driver: DriverChoice) async throws {
        let calls = try await Guest.run(.guest(driver)) { loop in
            let (never, once) = (Counter(), Counter())
            let task = Task(executorPreference: loop) {
                await Self.scoped(on: loop) {
                    guard let pipe = try? Pipe() else { return }
                    Bytes.write(1, to: pipe.writer.number)
                    for _ in 0..<10 {
                        await withTaskCancellationHandler {
                            _ = await Self.waitForever(pipe, loop)
                        } onCancel: {
                            never.add()
                        }
                    }
                    Bytes.read(1, from: pipe.reader.number)
                    await withTaskCancellationHandler {
                        unsafe withUnsafeCurrentTask { unsafe $0?.cancel() }
                        _ = await Self.waitForever(pipe, loop)
                    } onCancel: {
                        once.add()
                    }
                }
            }
            await task.value
            return [never.value, once.value]
        }
        #expect(calls == [0, 1])
    }

    @Test("comes while waits begin and end, and everything is in order afterwards", arguments: Drivers.available)
    func races(driver: DriverChoice) async throws {
        try await Guest.run(.guest(driver)) { loop in
            for round in 0..<200 {
                let pipe = try Pipe()
                let (reader, writer) = (pipe.reader.number, pipe.writer.number)
                let started = Gate()
                let task = Task(executorPreference: loop) {
                    await Self.scoped(on: loop) {
                        started.open()
                        while await loop.perform(.waitReadable(reader)).result >= 0 { Bytes.read(1, from: reader) }
                    }
                }
                await started.pass()
                let threads = [
                    try SystemThread.start(name: "writer") { for _ in 0..<round % 20 { Bytes.write(1, to: writer) } },
                    try SystemThread.start(name: "canceller") {
                        for _ in 0..<round { sched_yield() }
                        task.cancel()
                    },
                ]
                await task.value
                for thread in threads { thread.join() }
                await loop.expectSoundSlots()
            }
        }
    }

    private actor Resident: LoopActor {
        nonisolated let loop: EventLoop
        init(_ loop: EventLoop) { self.loop = loop }
        func wait(_ number: CInt, _ started: Gate) async -> Int {
            started.open()
            return await loop.perform(.waitReadable(number)).result
        }
    }

    @Test("brings it to waits of actors, too", arguments: Drivers.available)
    func isolated(driver: DriverChoice) async throws {
        let result = try await Guest.run(.guest(driver)) { loop in
            let pipe = try Pipe()
            let (number, started, resident) = (pipe.reader.number, Gate(), Resident(loop))
            let task = Task(executorPreference: loop) {
                await Self.scoped(on: loop) { await resident.wait(number, started) }
            }
            await started.pass()
            task.cancel()
            let result = await task.value
            await loop.expectSoundSlots()
            return result
        }
        #expect(result == Errno.canceled.negated)
    }

    private nonisolated(nonsending) static func nested(
        _ depth: Int, _ body: nonisolated(nonsending) () async -> Int
    ) async -> Int {
        if depth == 0 { return await body() }
        return await withTaskCancellationHandler {
            await nested(depth - 1, body)
        } onCancel: {
        }
    }

    @Test("is out of sight under very many handlers, and waits look after themselves", arguments: Drivers.available)
    func deep(driver: DriverChoice) async throws {
        let (isSeen, result) = try await Guest.run(.guest(driver)) { loop in
            let pipe = try Pipe()
            let (number, started) = (pipe.reader.number, Gate())
            let seen = Log<Bool>()
            let task = Task(executorPreference: loop) {
                await Self.scoped(on: loop) {
                    await Self.nested(100) {
                        seen.add(Self.isInside)
                        started.open()
                        return await loop.perform(.waitReadable(number)).result
                    }
                }
            }
            await started.pass()
            task.cancel()
            return (seen.all, await task.value)
        }
        #expect(isSeen == [false])
        #expect(result == Errno.canceled.negated)
    }
}
