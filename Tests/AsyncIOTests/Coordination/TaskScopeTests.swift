import AsyncIO
import AsyncIOTestSupport
import Testing

@Suite("A task scope")
struct TaskScopeTests {
    @Test("returns the body's value when body and children have ended", arguments: Setting.timeless)
    func value(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop in
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

    @Test("without children it is a call", arguments: Setting.timeless)
    func noChildren(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop in
            try await expect(withTaskScope { _ in try await loop.after(1) }, is: 1)
        }
    }

    @Test("the first error cancels the other children and the body", arguments: Setting.timeless)
    func firstError(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop in
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

    @Test(
        "all errors are reported, in the order in which they came, the body's among them", arguments: Setting.timeless)
    func allErrors(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop in
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

    @Test("an error of the body cancels the children, and is reported as the others are", arguments: Setting.timeless)
    func bodyFails(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop in
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

    @Test("a child that throws CancellationError by itself has ended, and is no error", arguments: Setting.timeless)
    func ownCancellation(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop in
            let value = try await withTaskScope { scope in
                try scope.spawn { throw CancellationError() }
                return try await loop.after(10)
            }
            #expect(value == 10)
        }
    }

    @Test(
        "a body that throws CancellationError by itself has no value: the children go on, and it is thrown",
        arguments: Setting.timeless)
    func bodysOwnCancellation(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop in
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

    @Test("children spawn children, also after the body has ended", arguments: Setting.timeless)
    func grandchildren(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop in
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

    @Test(
        "after its end a scope takes no children, and says so; cancelling it does nothing", arguments: Setting.timeless)
    func closed(setting: Setting) async throws {
        try await withVirtualTime(setting) { _ in
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

    @Test("other tasks and other threads spawn children while it is open", arguments: Setting.onRealLoop)
    func outsiders(setting: Setting) async throws {
        try await withLoop(setting) { loop in
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

    @Test("children have the task locals of the scope's owner, and run on its loop", arguments: Setting.timeless)
    func structured(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop in
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

    @Test(
        "scopes within each other: an error of the inner one is an error of the outer one's body",
        arguments: Setting.timeless)
    func nested(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop in
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

    @Test("children have names, for whoever looks at the tasks", arguments: Setting.timeless)
    func names(setting: Setting) async throws {
        try await withVirtualTime(setting) { _ in
            let log = Log<String>()
            try await withTaskScope { scope in try scope.spawn(name: "reader") { log.add(Task.name ?? "") } }
            #expect(log.all == ["reader"])
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
