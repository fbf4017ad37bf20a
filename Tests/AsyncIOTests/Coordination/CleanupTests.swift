import AsyncIO
import AsyncIOTestSupport
import Testing

@Suite("withCleanup")
struct CleanupTests {
    @Test("the clean-up runs after the body, and is told its value, which comes back", arguments: Setting.timeless)
    func value(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop in
            let log = Log<String>()
            let value = try await withCleanup(limit: .seconds(1)) {
                _ = try await loop.after(10)
                log.add("body")
                return 5
            } cleanup: { outcome in
                log.add("cleanup \(try outcome.get())")
            }
            #expect(value == 5)
            #expect(log.all == ["body", "cleanup 5"])
        }
    }

    @Test(
        "after an error of the body the clean-up runs, is told, and the error comes back", arguments: Setting.timeless)
    func error(setting: Setting) async throws {
        try await withVirtualTime(setting) { _ in
            let log = Log<Bool>()
            await #expect(throws: Failure(number: 1)) {
                try await withCleanup(limit: .seconds(1)) {
                    throw Failure(number: 1)
                } cleanup: { (outcome: Result<Void, any Error>) in
                    if case .failure(let error as Failure) = outcome { log.add(error.number == 1) }
                }
            }
            #expect(log.all == [true])
        }
    }

    @Test("cancelled in the body, the clean-up runs and is not cancelled", arguments: Setting.timeless)
    func cancelledInBody(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop in
            let log = Log<String>()
            let task = loop.submit {
                try await withCleanup(limit: .seconds(1)) {
                    try await untilCancelled(loop)
                } cleanup: { outcome in
                    if case .failure(let error) = outcome { log.add("\(error)") }
                    log.add("\(Task.isCancelled)")
                    _ = try await loop.after(100)
                    log.add("done")
                }
            }
            await loop.settle()
            task.cancel()
            await #expect(throws: CancellationError.self) { try await task.value }
            #expect(log.all == ["CancellationError()", "false", "done"])
        }
    }

    @Test(
        "cancelled in the clean-up, the clean-up is finished, and the body's value comes back",
        arguments: Setting.timeless)
    func cancelledInCleanup(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop in
            let (begun, done) = (Gate(), Counter())
            let task = loop.submit {
                try await withCleanup(limit: .seconds(1)) {
                    5
                } cleanup: { _ in
                    begun.open()
                    _ = try await loop.after(100)
                    done.add()
                }
            }
            await begun.pass()
            task.cancel()
            try await expect(task.value, is: 5)
            #expect(done.value == 1)
        }
    }

    @Test("cancelled before, body and clean-up run all the same, and the body sees it", arguments: Setting.timeless)
    func cancelledBefore(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop in
            let log = Log<Bool>()
            let task = loop.submit {
                try? await untilCancelled(loop)
                try await withCleanup(limit: .seconds(1)) {
                    log.add(Task.isCancelled)
                } cleanup: { _ in
                    log.add(Task.isCancelled)
                }
            }
            await loop.settle()
            task.cancel()
            try await task.value
            #expect(log.all == [true, false])
        }
    }

    @Test("an error of the clean-up does not hide the body's: both are there", arguments: Setting.timeless)
    func bothFail(setting: Setting) async throws {
        try await withVirtualTime(setting) { _ in
            do {
                try await withCleanup(limit: .seconds(1), name: "goodbye") {
                    throw Failure(number: 1)
                } cleanup: { (_: Result<Void, any Error>) in
                    throw Failure(number: 2)
                }
                Issue.record("both failed")
            } catch let error as CleanupError {
                #expect(error.name == "goodbye")
                #expect(error.bodyError as? Failure == Failure(number: 1))
                guard case .failed(let problem) = error.problem else { throw error }
                #expect(problem as? Failure == Failure(number: 2))
                let text = "\(error)"
                #expect(text.hasPrefix("cleanup \"goodbye\" failed: Failure(number: 2); before that, the body failed"))
            }
        }
    }

    @Test("an error of the clean-up after a body that went well is thrown", arguments: Setting.timeless)
    func cleanupFails(setting: Setting) async throws {
        try await withVirtualTime(setting) { _ in
            do {
                _ = try await withCleanup(limit: .seconds(1)) {
                    5
                } cleanup: { _ in
                    throw Failure(number: 2)
                }
                Issue.record("the clean-up failed")
            } catch let error as CleanupError {
                #expect(error.bodyError == nil)
                #expect("\(error)" == "cleanup \"cleanup\" failed: Failure(number: 2)")
            }
        }
    }

    @Test("a clean-up that exceeds its limit is cancelled, awaited, and named", arguments: Setting.timeless)
    func exceeded(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop in
            let (start, ended) = (loop.now, Counter())
            do {
                try await withCleanup(limit: .milliseconds(50), name: "goodbye") {
                } cleanup: { _ in
                    defer { ended.add() }
                    try? await untilCancelled(loop)
                    await deaf(loop, 20)
                }
                Issue.record("the limit was exceeded")
            } catch let error as CleanupError {
                guard case .exceeded(let limit, nil) = error.problem else { throw error }
                #expect(limit == .milliseconds(50))
                #expect("\(error)" == "cleanup \"goodbye\" took longer than 0.05 seconds and was cancelled")
            }
            #expect(ended.value == 1)
            #expect(loop.elapsed(since: start) == .milliseconds(70))
        }
    }

    @Test("a clean-up that exceeds its limit and throws: its error is not lost", arguments: Setting.timeless)
    func exceededAndFailed(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop in
            do {
                try await withCleanup(limit: .milliseconds(50), name: "goodbye") {
                    throw Failure(number: 1)
                } cleanup: { (_: Result<Void, any Error>) in
                    try? await untilCancelled(loop)
                    throw Failure(number: 2)
                }
                Issue.record("the limit was exceeded")
            } catch let error as CleanupError {
                guard case .exceeded(.milliseconds(50), let late) = error.problem else { throw error }
                #expect(late as? Failure == Failure(number: 2))
                #expect(error.bodyError as? Failure == Failure(number: 1))
                let text = "took longer than 0.05 seconds and was cancelled, and then failed: Failure(number: 2)"
                #expect("\(error)".contains("\(text); before that, the body failed: Failure(number: 1)"))
            }
        }
    }

    @Test("a loop that closes during a clean-up leaves its limit in force")
    func limitOutlivesLoop() async throws {
        let errors = Errors()
        let (begun, ended) = (Gate(), Gate())
        let result = Log<String>()
        try await Guest.run(.guest(grace: .milliseconds(1), errors: errors)) { loop in
            Task.detached(executorPreference: loop) {
                do {
                    try await withCleanup(limit: .milliseconds(300)) {
                    } cleanup: { _ in
                        begun.open()
                        try await AsyncEvent().wait()
                    }
                } catch { result.add("\(error)") }
                ended.open()
            }
            await begun.pass()
        }
        try await Watchdog.watch { await ended.pass() }
        #expect(result.all == ["cleanup \"cleanup\" took longer than 0.3 seconds and was cancelled"])
    }

    @Test(
        "the limit is the clean-up's own: a long body does not use it up, and no timer is left",
        arguments: Setting.timeless)
    func limitIsTheCleanups(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop in
            try await withCleanup(limit: .milliseconds(50)) {
                _ = try await loop.after(10_000)
            } cleanup: { _ in
                _ = try await loop.after(40)
            }
            await loop.settle()
            #expect(await loop.statistics.pendingTimers == 0)
        }
    }

    @Test("the clean-up has the caller's task locals and runs on its loop", arguments: Setting.timeless)
    func locals(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop in
            let log = Log<Int>()
            try await Mark.$value.withValue(3) {
                try await withCleanup(limit: .seconds(1)) {
                } cleanup: { _ in
                    log.add(loop.isCurrent ? Mark.value : 0)
                }
            }
            #expect(log.all == [3])
        }
    }

    @Test("a deadline that ends the body does not bind the clean-up, nor shielded work", arguments: Setting.timeless)
    func deadlines(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop in
            let log = Log<Bool>()
            await #expect(throws: TimeoutError.self) {
                try await withTimeout(.milliseconds(10)) {
                    try await withCleanup(limit: .seconds(1)) {
                        try await untilCancelled(loop)
                    } cleanup: { _ in
                        _ = try await loop.after(50)
                        log.add(Deadline.current == nil)
                    }
                }
            }
            #expect(log.all == [true])
            await #expect(throws: TimeoutError.self) {
                try await withTimeout(.milliseconds(10)) {
                    try await shield {
                        _ = try await loop.after(50)
                        log.add(Deadline.current == nil)
                    }
                }
            }
            #expect(log.count == 1, "the caller did not wait")
            _ = try await loop.after(100)
            #expect(log.all == [true, true])
        }
    }

    @Test("clean-ups within each other run from the inside out", arguments: Setting.timeless)
    func nested(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop in
            let log = Log<String>()
            let task = loop.submit {
                try await withCleanup(limit: .seconds(1)) {
                    try await withCleanup(limit: .seconds(1)) {
                        try await untilCancelled(loop)
                    } cleanup: { _ in
                        _ = try await loop.after(10)
                        log.add("inner")
                    }
                } cleanup: { _ in
                    _ = try await loop.after(10)
                    log.add("outer")
                }
            }
            await loop.settle()
            task.cancel()
            await #expect(throws: CancellationError.self) { try await task.value }
            #expect(log.all == ["inner", "outer"])
        }
    }

    @Test("the loop's end cancels the body, and waits for the clean-up")
    func loopEnds() async throws {
        let (errors, log) = (Errors(), Log<String>())
        try await Guest.run(.guest(grace: .seconds(100), errors: errors)) { loop in
            let begun = Gate()
            loop.spawn {
                try await withCleanup(limit: .seconds(50)) {
                    begun.open()
                    try await untilCancelled(loop)
                } cleanup: { _ in
                    _ = try await loop.after(20)
                    log.add("clean")
                }
            }
            await begun.pass()
        }
        #expect(log.all == ["clean"])
        #expect(errors.all.isEmpty)
    }

    @Test("without a loop it says so, before the body")
    func noLoop() async throws {
        let ran = Counter()
        await #expect(throws: EventLoopError.noLoop) {
            try await withCleanup(limit: .seconds(1)) {
                _ = ran.add()
            } cleanup: { _ in
            }
        }
        #expect(ran.value == 0)
    }
}
