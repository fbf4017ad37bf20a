import AsyncIO
import AsyncIOTestSupport
import Testing

@Suite("Starting a child of a scope")
struct ScopeStartTests {
    @Test("the call returns what the child says when it is ready, and the child goes on", arguments: Setting.timeless)
    func ready(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop in
            let (start, ended) = (loop.now, Counter())
            try await withTaskScope { scope in
                let port = try await scope.start(name: "server") { started in
                    _ = try await loop.after(10)
                    started(8080)
                    _ = try await loop.after(50)
                    ended.add()
                }
                #expect(port == 8080)
                #expect(loop.elapsed(since: start) == .milliseconds(10))
                #expect(ended.value == 0)
            }
            #expect(ended.value == 1)
        }
    }

    @Test("a child may be ready without a word to say", arguments: Setting.timeless)
    func readyWithNothing(setting: Setting) async throws {
        try await withVirtualTime(setting) { _ in
            try await withTaskScope { scope in
                try await scope.start { (started: Started<Void>) in started() }
            }
        }
    }

    @Test(
        "an error before the child was ready is thrown to the caller, and is no error of the scope",
        arguments: Setting.timeless)
    func errorBefore(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop in
            let value = try await withTaskScope { scope in
                await #expect(throws: Failure(number: 1)) {
                    let _: Int = try await scope.start { _ in
                        _ = try await loop.after(1)
                        throw Failure(number: 1)
                    }
                }
                #expect(!scope.isCancelled)
                return 5
            }
            #expect(value == 5)
        }
    }

    @Test("an error after the child was ready is one of the scope", arguments: Setting.timeless)
    func errorAfter(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop in
            do {
                try await withTaskScope { scope in
                    let _: Int = try await scope.start(name: "server") { started in
                        started(1)
                        throw Failure(number: 2)
                    }
                    try await untilCancelled(loop)
                }
            } catch let error as TaskScopeError {
                #expect(error.errors.map(\.name) == ["server"])
            }
        }
    }

    @Test("a child that ends without a word is an error of the caller's", arguments: Setting.timeless)
    func neverReady(setting: Setting) async throws {
        try await withVirtualTime(setting) { _ in
            try await withTaskScope { scope in
                await #expect(throws: NotStartedError(name: "server")) {
                    let _: Int = try await scope.start(name: "server") { _ in }
                }
            }
        }
    }

    @Test(
        "a caller that is cancelled cancels the child that is not ready, and waits for its end",
        arguments: Setting.timeless)
    func callerCancelled(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop in
            let ended = Counter()
            try await withTaskScope { scope in
                let caller = loop.submit {
                    let _: Int = try await scope.start { _ in
                        try? await untilCancelled(loop)
                        await deaf(loop, 10)
                        ended.add()
                        throw CancellationError()
                    }
                }
                await loop.settle()
                caller.cancel()
                await #expect(throws: CancellationError.self) { try await caller.value }
                #expect(ended.value == 1)
                #expect(!scope.isCancelled)
            }
        }
    }

    @Test(
        "a child that fails in the moment in which the caller is cancelled: its error is thrown, not lost",
        arguments: Setting.onRealLoop)
    func failsWithCancellation(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            // One operation a turn: the caller lets others run before it looks for the child's word.
            let fairness = Fairness(operationsPerJob: 1)
            let other = try LoopThread(options: .guest(name: "caller's", fairness: fairness))
            let (begun, isBusy, end) = (Gate(), Gate(), Gate())
            try await withTaskScope { scope in
                let caller = other.loop.submit {
                    await begun.pass()
                    other.loop.callSoon {
                        isBusy.open()
                        end.block()
                    }
                    let _: Int = try await scope.start { _ in throw Failure(number: 3) }
                }
                begun.open()
                await isBusy.pass()
                await until { scope.count == 1 }
                caller.cancel()
                end.open()
                await #expect(throws: Failure(number: 3)) { try await caller.value }
                #expect(!scope.isCancelled)
            }
            await other.shutdown()
        }
    }

    @Test("a child that is ready in the moment in which the caller is cancelled goes on, and the caller has its word")
    func readyWithCancellation() async throws {
        try await Guest.run(.guest(fairness: Fairness(operationsPerJob: 1))) { loop in
            try await withTaskScope { scope in
                let (callers, begun, log) = (Log<BackgroundTask<Int>>(), Gate(), Log<Bool>())
                let caller = loop.submit {
                    await begun.pass()
                    return try await scope.start { started in
                        for caller in callers.all { caller.cancel() }
                        started(5)
                        log.add(Task.isCancelled)
                    }
                }
                callers.add(caller)
                begun.open()
                try await expect(caller.value, is: 5)
                await until { log.count == 1 }
                #expect(log.all == [false])
            }
        }
    }

    @Test("what a child throws that its caller has left is an error of the scope", arguments: Setting.timeless)
    func abandonedChildFails(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop in
            do {
                try await withTaskScope { scope in
                    let caller = loop.submit {
                        let _: Int = try await scope.start(name: "server") { _ in
                            try? await untilCancelled(loop)
                            throw Failure(number: 4)
                        }
                    }
                    await loop.settle()
                    caller.cancel()
                    await #expect(throws: CancellationError.self) { try await caller.value }
                }
                Issue.record("the child failed")
            } catch let error as TaskScopeError {
                #expect(error.errors.map(\.name) == ["server"])
            }
        }
    }

    @Test("a caller that is cancelled later does not touch the child that is ready", arguments: Setting.timeless)
    func callerCancelledLater(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop in
            let log = Log<Bool>()
            try await withTaskScope { scope in
                let caller = loop.submit {
                    let _: Int = try await scope.start { started in
                        started(1)
                        _ = try await loop.after(20)
                        log.add(Task.isCancelled)
                    }
                    try await untilCancelled(loop)
                }
                _ = try await loop.after(5)
                caller.cancel()
                await #expect(throws: CancellationError.self) { try await caller.value }
            }
            #expect(log.all == [false])
        }
    }

    @Test(
        "an error of a child whose caller has gone is one of the scope: it is not silent", arguments: Setting.timeless)
    func errorWithoutCaller(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop in
            let result = Log<Bool>()
            do {
                try await withTaskScope { scope in
                    let caller = loop.submit {
                        let _: Int = try await scope.start { _ in
                            try? await untilCancelled(loop)
                            throw Failure()
                        }
                    }
                    await loop.settle()
                    caller.cancel()
                    await #expect(throws: CancellationError.self) { try await caller.value }
                }
            } catch let error as TaskScopeError {
                result.add(error.errors.first?.error is Failure)
            }
            #expect(result.all == [true])
        }
    }

    @Test("a scope that is cancelled meanwhile cancels the child, and the call throws", arguments: Setting.timeless)
    func scopeCancelled(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop in
            try await withTaskScope { scope in
                let caller = loop.submit { let _: Int = try await scope.start { _ in try await untilCancelled(loop) } }
                await loop.settle()
                scope.cancel()
                await #expect(throws: CancellationError.self) { try await caller.value }
            }
        }
    }

    @Test("saying twice that it is ready stops the program with a message")
    func twice() async {
        await #expect(processExitsWith: .failure) {
            try await withTaskScope { scope in
                let _: Int = try await scope.start { started in
                    started(1)
                    started(2)
                }
            }
        }
    }

    @Test("from another thread, too", arguments: Setting.onRealLoop)
    func threads(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            try await withTaskScope { scope in
                let task = Task.detached { try await scope.start { $0(EventLoop.current === loop) } }
                try await expect(task.value, is: true)
            }
        }
    }
}
