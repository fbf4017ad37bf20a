import AsyncIO
import AsyncIOTestSupport
import Testing

@Suite("A task scope")
struct TaskScopeTests {
    @Test("returns the body's value when body and children have ended")
    func value() async throws {
        try await withVirtualTime { loop in
            let (start, ended) = (loop.now, Counter())
            let value = try await withTaskScope { scope in
                for time in [10, 30, 20] {
                    try scope.spawn {
                        _ = try await loop.after(time)
                        ended.add()
                    }
                }
                return 5
            }
            #expect(value == 5)
            #expect(ended.value == 3)
            #expect(loop.elapsed(since: start) == .milliseconds(30))
        }
    }

    @Test("without children it is a call")
    func noChildren() async throws {
        try await withVirtualTime { loop in
            try await expect(withTaskScope { _ in try await loop.after(1) }, is: 1)
        }
    }

    @Test("the first error cancels the other children and the body")
    func firstError() async throws {
        try await withVirtualTime { loop in
            let (start, cancelled) = (loop.now, Counter())
            do {
                try await withTaskScope(name: "service") { scope in
                    for _ in 0..<3 {
                        try scope.spawn {
                            defer { cancelled.add() }
                            try await untilCancelled(loop)
                        }
                    }
                    try scope.spawn(name: "bad") {
                        _ = try await loop.after(10)
                        throw Failure(number: 1)
                    }
                    defer { cancelled.add() }
                    try await untilCancelled(loop)
                }
                Issue.record("a child failed")
            } catch let error as TaskScopeError {
                #expect(error.scope == "service")
                #expect(error.errors.map(\.name) == ["bad"])
                #expect(error.errors.first?.error as? Failure == Failure(number: 1))
                #expect("\(error)" == "1 error in scope \"service\": bad: Failure(number: 1)")
            }
            #expect(cancelled.value == 4)
            #expect(loop.elapsed(since: start) == .milliseconds(10))
        }
    }

    @Test("all errors are reported, in the order in which they came, the body's among them")
    func allErrors() async throws {
        try await withVirtualTime { loop in
            do {
                try await withTaskScope { scope in
                    try scope.spawn(name: "first") { throw Failure(number: try await loop.after(10)) }
                    try scope.spawn(name: "third") {
                        try? await untilCancelled(loop)
                        await deaf(loop, 20)
                        throw Failure(number: 3)
                    }
                    try? await untilCancelled(loop)
                    throw Failure(number: 2)
                }
                Issue.record("all failed")
            } catch let error as TaskScopeError {
                #expect(error.errors.map(\.name) == ["first", "body", "third"])
                #expect(error.errors.compactMap { ($0.error as? Failure)?.number } == [10, 2, 3])
                #expect("\(error)".hasPrefix("3 errors in scope \"scope\": first: Failure(number: 10); body: "))
            }
        }
    }

    @Test("an error of the body cancels the children, and is reported as the others are")
    func bodyFails() async throws {
        try await withVirtualTime { loop in
            let cancelled = Counter()
            do {
                try await withTaskScope { scope in
                    try scope.spawn {
                        defer { cancelled.add() }
                        try await untilCancelled(loop)
                    }
                    await loop.settle()
                    throw Failure(number: 4)
                }
            } catch let error as TaskScopeError {
                #expect(error.errors.map(\.name) == ["body"])
            }
            #expect(cancelled.value == 1)
        }
    }

    @Test("a child that throws CancellationError by itself has ended, and is no error")
    func ownCancellation() async throws {
        try await withVirtualTime { loop in
            let value = try await withTaskScope { scope in
                try scope.spawn { throw CancellationError() }
                return try await loop.after(10)
            }
            #expect(value == 10)
        }
    }

    @Test("a body that throws CancellationError by itself has no value: the children go on, and it is thrown")
    func bodysOwnCancellation() async throws {
        try await withVirtualTime { loop in
            let ended = Counter()
            await #expect(throws: CancellationError.self) {
                try await withTaskScope { scope in
                    try scope.spawn {
                        _ = try await loop.after(10)
                        ended.add()
                    }
                    throw CancellationError()
                }
            }
            #expect(ended.value == 1)
        }
    }

    @Test("children spawn children, also after the body has ended")
    func grandchildren() async throws {
        try await withVirtualTime { loop in
            let log = Log<Int>()
            try await withTaskScope { scope in
                try scope.spawn {
                    _ = try await loop.after(10)
                    try scope.spawn {
                        _ = try await loop.after(10)
                        log.add(2)
                    }
                    log.add(1)
                }
            }
            #expect(log.all == [1, 2])
        }
    }

    @Test("after its end a scope takes no children, and says so; cancelling it does nothing")
    func closed() async throws {
        try await withVirtualTime { _ in
            let scope = try await withTaskScope(name: "service") { $0 }
            do {
                try scope.spawn {}
                Issue.record("the scope has ended")
            } catch let error as ClosedError {
                #expect("\(error)" == "task scope \"service\" has finished")
            }
            await #expect(throws: ClosedError.self) { try await scope.start { $0(1) } }
            scope.cancel()
            #expect(!scope.isCancelled)
            #expect(scope.count == 0)
            #expect("\(scope)" == "TaskScope(service, 0 children)")
        }
    }

    @Test("other tasks and other threads spawn children while it is open")
    func outsiders() async throws {
        try await Guest.run { loop in
            let (log, here) = (Log<Int>(), Counter())
            try await withTaskScope { scope in
                let task = loop.submit {
                    for number in 0..<10 { try scope.spawn { log.add(number) } }
                }
                try await Watchdog.onThread {
                    for number in 10..<20 {
                        try scope.spawn {
                            log.add(number)
                            if loop.isCurrent { here.add() }
                        }
                    }
                }
                try await task.value
            }
            #expect(log.all.sorted() == Array(0..<20))
            #expect(here.value == 10, "children live where their scope does")
        }
    }

    @Test("cancelled from outside: body and children are cancelled and awaited, and it stays CancellationError")
    func outside() async throws {
        try await withVirtualTime { loop in
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

    @Test("cancelled from outside after the body's end: what was cut short is not passed off as done")
    func outsideAfterBody() async throws {
        try await withVirtualTime { loop in
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

    @Test("cancelled from outside, with all ending well in spite of it: the value comes back")
    func outsideIgnored() async throws {
        try await withVirtualTime { loop in
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

    @Test("error and cancellation from outside at once: the errors come, none is silent")
    func errorAndCancellation() async throws {
        try await withVirtualTime { loop in
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

    @Test("a task that is cancelled already starts nothing")
    func cancelledBefore() async throws {
        try await withVirtualTime { loop in
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

    @Test("cancelled by cancel() from inside, a scope whose body returns nothing ends without an error")
    func cancelInside() async throws {
        try await withVirtualTime { loop in
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

    @Test("cancelled by cancel() from outside or by a child, likewise")
    func cancelOutside() async throws {
        try await withVirtualTime { loop in
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

    @Test("cancelled by cancel(), the value of a body that has one is kept; one that was cut short has none")
    func cancelWithValue() async throws {
        try await withVirtualTime { loop in
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

    @Test("after cancel(), an error is an error")
    func cancelAndError() async throws {
        try await withVirtualTime { loop in
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

    @Test("after cancel(), the caller's own cancellation is still told")
    func cancelAndOutside() async throws {
        try await withVirtualTime { loop in
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

    @Test("a child spawned in a cancelled scope runs, and is cancelled from the start")
    func spawnAfterCancel() async throws {
        try await withVirtualTime { _ in
            let log = Log<Bool>()
            try await withTaskScope { scope in
                scope.cancel()
                try scope.spawn { log.add(Task.isCancelled) }
            }
            #expect(log.all == [true])
        }
    }

    @Test("a child spawned by clean-up, after a cancellation from outside, runs and is cancelled, too")
    func spawnAfterOutside() async throws {
        try await withVirtualTime { loop in
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

    @Test("children have the task locals of the scope's owner, and run on its loop")
    func structured() async throws {
        try await withVirtualTime { loop in
            let log = Log<Int>()
            try await Mark.$value.withValue(1) {
                try await withTaskScope { scope in
                    #expect(Mark.value == 1)
                    try Mark.$value.withValue(2) {
                        try scope.spawn { log.add(loop.isCurrent ? Mark.value : 0) }
                    }
                }
            }
            #expect(log.all == [1])
        }
    }

    @Test("scopes within each other: an error of the inner one is an error of the outer one's body")
    func nested() async throws {
        try await withVirtualTime { loop in
            let cancelled = Counter()
            do {
                try await withTaskScope(name: "outer") { outer in
                    try outer.spawn {
                        defer { cancelled.add() }
                        try await untilCancelled(loop)
                    }
                    try await withTaskScope(name: "inner") { inner in
                        try inner.spawn(name: "bad") { throw Failure() }
                        try await untilCancelled(loop)
                    }
                }
            } catch let error as TaskScopeError {
                #expect(error.scope == "outer")
                let inner = try #require(error.errors.first?.error as? TaskScopeError)
                #expect(inner.errors.map(\.name) == ["bad"])
            }
            #expect(cancelled.value == 1)
        }
    }

    @Test("children have names, for whoever looks at the tasks")
    func names() async throws {
        try await withVirtualTime { _ in
            let log = Log<String>()
            try await withTaskScope { scope in try scope.spawn(name: "reader") { log.add(Task.name ?? "") } }
            #expect(log.all == ["reader"])
        }
    }

    @Test("wherever the cancellation comes, nobody is left inside")
    func cancelledAnywhere() async throws {
        try await withVirtualTime { loop in
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

    @Test("it needs no loop")
    func noLoop() async throws {
        let ran = Counter()
        try await withTaskScope { scope in
            for _ in 0..<100 { try scope.spawn { ran.add() } }
        }
        #expect(ran.value == 100)
    }
}

@Suite("Starting a child of a scope")
struct ScopeStartTests {
    @Test("the call returns what the child says when it is ready, and the child goes on")
    func ready() async throws {
        try await withVirtualTime { loop in
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

    @Test("a child may be ready without a word to say")
    func readyWithNothing() async throws {
        try await withVirtualTime { _ in
            try await withTaskScope { scope in
                try await scope.start { (started: Started<Void>) in started() }
            }
        }
    }

    @Test("an error before the child was ready is thrown to the caller, and is no error of the scope")
    func errorBefore() async throws {
        try await withVirtualTime { loop in
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

    @Test("an error after the child was ready is one of the scope")
    func errorAfter() async throws {
        try await withVirtualTime { loop in
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

    @Test("a child that ends without a word is an error of the caller's")
    func neverReady() async throws {
        try await withVirtualTime { _ in
            try await withTaskScope { scope in
                await #expect(throws: NotStartedError(name: "server")) {
                    let _: Int = try await scope.start(name: "server") { _ in }
                }
            }
        }
    }

    @Test("a caller that is cancelled cancels the child that is not ready, and waits for its end")
    func callerCancelled() async throws {
        try await withVirtualTime { loop in
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

    @Test("a caller that is cancelled later does not touch the child that is ready")
    func callerCancelledLater() async throws {
        try await withVirtualTime { loop in
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

    @Test("an error of a child whose caller has gone is one of the scope: it is not silent")
    func errorWithoutCaller() async throws {
        try await withVirtualTime { loop in
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

    @Test("a scope that is cancelled meanwhile cancels the child, and the call throws")
    func scopeCancelled() async throws {
        try await withVirtualTime { loop in
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

    @Test("from another thread, too")
    func threads() async throws {
        try await Guest.run { loop in
            try await withTaskScope { scope in
                let task = Task.detached { try await scope.start { $0(EventLoop.current === loop) } }
                try await expect(task.value, is: true)
            }
        }
    }
}
