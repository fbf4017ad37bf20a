import AsyncIO
import AsyncIOTestSupport
import Testing

@Suite("shield")
struct ShieldTests {
    @Test("without a cancellation it is a call: value, error, task locals", arguments: Setting.timeless)
    func plain(setting: Setting) async throws {
        let errors = Errors()
        try await withVirtualTime(setting, errors: errors) { loop in
            try await expect(shield { try await loop.after(10) }, is: 10)
            await #expect(throws: Failure(number: 2)) { try await shield { throw Failure(number: 2) } }
            let mark = try await Mark.$value.withValue(5) { try await shield { Mark.value } }
            #expect(mark == 5)
        }
        #expect(errors.all.isEmpty, "an error that somebody received is not reported")
    }

    @Test("a cancelled caller leaves at once, and the work goes on to its end", arguments: Setting.timeless)
    func cancelled(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop in
            let (start, ended) = (loop.now, Log<Bool>())
            let task = loop.submit {
                try await shield {
                    try await loop.sleep(for: .milliseconds(100))
                    ended.add(Task.isCancelled)
                }
            }
            _ = try await loop.after(10)
            task.cancel()
            await #expect(throws: CancellationError.self) { try await task.value }
            #expect(loop.elapsed(since: start) == .milliseconds(10))
            _ = try await loop.after(200)
            #expect(ended.all == [false])
        }
    }

    @Test(
        "an error after the caller has left goes to the loop's error handler, with name and place",
        arguments: Setting.timeless)
    func lateError(setting: Setting) async throws {
        let errors = Errors()
        try await withVirtualTime(setting, errors: errors) { loop in
            let task = loop.submit {
                try await shield(name: "commit") {
                    _ = try await loop.after(100)
                    throw Failure(number: 3)
                }
            }
            _ = try await loop.after(10)
            task.cancel()
            await #expect(throws: CancellationError.self) { try await task.value }
            _ = try await loop.after(200)
        }
        #expect(errors.contexts == ["commit"])
        #expect(errors.all.first?.error as? Failure == Failure(number: 3))
        #expect(errors.all.first?.place.hasPrefix("AsyncIOTests/ShieldTests.swift:") == true)
    }

    @Test("a value after the caller has left is dropped without a word", arguments: Setting.timeless)
    func lateValue(setting: Setting) async throws {
        let errors = Errors()
        try await withVirtualTime(setting, errors: errors) { loop in
            let task = loop.submit { try await shield { try await loop.after(100) } }
            await loop.settle()
            task.cancel()
            await #expect(throws: CancellationError.self) { _ = try await task.value }
            _ = try await loop.after(200)
        }
        #expect(errors.all.isEmpty)
    }

    @Test("a task that is cancelled already starts nothing", arguments: Setting.timeless)
    func cancelledBefore(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop in
            let ran = Counter()
            let task = loop.submit {
                try? await untilCancelled(loop)
                _ = try await shield { ran.add() }
            }
            await loop.settle()
            task.cancel()
            await #expect(throws: CancellationError.self) { try await task.value }
            await loop.settle()
            #expect(ran.value == 0)
        }
    }

    @Test("a shield within a shield: the inner work goes on, too", arguments: Setting.timeless)
    func nested(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop in
            let ended = Counter()
            let task = loop.submit {
                try await shield {
                    try await shield {
                        _ = try await loop.after(50)
                        ended.add()
                    }
                    ended.add()
                }
            }
            await loop.settle()
            task.cancel()
            _ = try await loop.after(100)
            #expect(ended.value == 2)
        }
    }

    @Test("the loop's end waits for shielded work, and does not cancel it")
    func loopEnds() async throws {
        let (errors, log) = (Errors(), Log<String>())
        try await Guest.run(.guest(grace: .seconds(100), errors: errors)) { loop in
            let begun = Gate()
            loop.spawn {
                try await shield(name: "commit") {
                    begun.open()
                    // Long after the end has begun: the caller is gone then.
                    try await loop.sleep(for: .milliseconds(50))
                    log.add(Task.isCancelled ? "cancelled" : "done")
                }
            }
            await begun.pass()
        }
        #expect(log.all == ["done"])
        #expect(errors.all.isEmpty)
    }

    @Test("when the grace period is over, shielded work is cancelled and named")
    func graceIsOver() async throws {
        let (errors, log) = (Errors(), Log<String>())
        try await Guest.run(.guest(grace: .milliseconds(20), errors: errors)) { loop in
            let begun = Gate()
            loop.spawn(name: "caller") {
                try await shield(name: "endless") {
                    begun.open()
                    do { try await untilCancelled(loop) } catch { log.add("\(error)") }
                }
            }
            await begun.pass()
        }
        #expect(errors.stubborn == ["shielded work \"endless\""])
        #expect(log.all == ["CancellationError()"])
    }

    @Test("clean-up that begins with the loop's end may shield; then the loop is closed and takes nothing")
    func cleanUpAtTheEnd() async throws {
        let (errors, log) = (Errors(), Log<String>())
        let loop = try await Guest.run(.guest(grace: .seconds(100), errors: errors)) { loop in
            let begun = Gate()
            loop.spawn {
                _ = try await shield(name: "outer") {
                    begun.open()
                    _ = try await loop.after(20)
                    try await shield(name: "inner") {
                        _ = try await loop.after(20)
                        log.add("inner")
                    }
                }
            }
            await begun.pass()
            return loop
        }
        #expect(log.all == ["inner"])
        #expect(errors.all.isEmpty)
        await #expect(throws: EventLoopError.closed("guest")) { try await shield(on: loop) {} }
    }

    @Test("a caller that is cancelled while its work goes on costs no processor time", arguments: Setting.onRealLoop)
    func costsNothing(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let (begun, gate) = (Gate(), Gate())
            let task = loop.submit {
                try await withThrowingTaskGroup(of: Void.self) { group in
                    group.addTask {
                        _ = try? await withCleanup(limit: .seconds(100)) {
                            begun.open()
                        } cleanup: { _ in
                            await gate.pass()
                        }
                        try await shield { await gate.pass() }
                    }
                    try await group.waitForAll()
                }
            }
            await begun.pass()
            task.cancel()
            let before = ProcessTable.threadTime
            try await loop.sleep(for: .milliseconds(100))
            #expect(ProcessTable.threadTime - before < 10_000_000)
            gate.open()
            await #expect(throws: CancellationError.self) { try await task.value }
        }
    }

    @Test("a task of another thread shields on a loop that it names")
    func elsewhere() async throws {
        let thread = try LoopThread(options: .guest())
        let loop = thread.loop
        #expect(try await shield(on: loop) { loop.isCurrent })
        let (begun, gate, ended) = (Gate(), Gate(), Gate())
        let task = Task.detached {
            try await shield(on: loop) {
                begun.open()
                await gate.pass()
                ended.open()
            }
        }
        await begun.pass()
        task.cancel()
        await #expect(throws: CancellationError.self) { try await task.value }
        gate.open()
        await ended.pass()
        await thread.shutdown()
        await #expect(throws: EventLoopError.noLoop) { try await shield {} }
    }

    @Test("error and cancellation at once, across threads: the error is received or reported, and never both")
    func exactlyOnce() async throws {
        let errors = Errors()
        let thread = try LoopThread(options: .guest(errors: errors))
        let loop = thread.loop
        var received = 0
        let rounds = Stress.isOn ? 20_000 : 500
        for _ in 0..<rounds {
            let gate = Gate()
            let task = Task.detached {
                try await shield(on: loop) {
                    await gate.pass()
                    throw Failure()
                }
            }
            gate.open()
            task.cancel()
            do { try await task.value } catch is Failure { received += 1 } catch { #expect(error is CancellationError) }
        }
        await thread.shutdown()
        #expect(received + errors.all.count <= rounds, "some were cancelled before they began")
        #expect(errors.all.allSatisfy { $0.error is Failure })
    }
}
