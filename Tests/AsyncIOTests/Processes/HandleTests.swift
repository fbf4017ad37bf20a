import AsyncIO
import AsyncIOKernel
import AsyncIOTestSupport
import Glibc
import SystemPackage
import Testing

@Suite("A process's handle")
struct ProcessHandleTests {
    @Test("any number of tasks wait, and as often as they like", arguments: Setting.all)
    func waiters(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let process = try await Process.spawn(.shell("read line; exit 5"), input: .pipe, on: loop)
            let waiters = (0..<20).map { _ in Task(executorPreference: loop) { try await process.wait() } }
            let elsewhere = (0..<20).map { _ in Task.detached { try await process.wait() } }
            #expect(try process.status == nil)
            try await process.input?.write("go\n")
            for waiter in waiters + elsewhere { #expect(try await waiter.value == .exited(5)) }
            #expect(try await process.wait() == .exited(5))
            #expect(try process.status == .exited(5))
        }
    }

    @Test("tasks of another loop wait for it, too", arguments: Setting.all)
    func otherLoop(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let other = try LoopThread(options: .guest(setting.driver, name: "other"))
            let process = try await Process.spawn("cat", input: .pipe, output: .pipe, on: loop)
            let there = other.loop.submit { try await process.wait() }
            let here = loop.submit { try await process.wait() }
            let conversation = other.loop.submit { try await process.communicate(Array("far".utf8)) }
            #expect(try await conversation.value.outputText == "far")
            #expect(try await there.value == .exited(0))
            #expect(try await here.value == .exited(0))
            await other.shutdown()
        }
    }

    @Test("a cancelled wait leaves the process alone, and other waiters", arguments: Setting.all)
    func cancelledWait(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let process = try await Process.spawn("cat", input: .pipe, on: loop)
            let first = Task(executorPreference: loop) { try await process.wait() }
            await until { await loop.statistics.waitingOperations > 0 }
            let second = Task(executorPreference: loop) { try await process.wait() }
            await until { await loop.statistics.waitingOperations > 1 }
            first.cancel()
            await #expect(throws: CancellationError.self) { try await first.value }
            #expect(try process.status == nil)
            process.input?.close()
            #expect(try await second.value == .exited(0))
        }
    }

    @Test("signals reach it until it has ended, and then nobody", arguments: Setting.all)
    func signals(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let process = try await Process.spawn(
                .shell("trap 'echo got; exit 9' USR1; echo ready; while :; do sleep 0.01; done"), output: .pipe,
                on: loop)
            let output = BufferedReader(try #require(process.output))
            #expect(try await output.readLine() == "ready")
            #expect(try process.status == nil)
            #expect(try await ioError { try process.signal(.terminate, to: .group) }.code == .notPermitted)
            #expect(try process.signal(.user1))
            #expect(try await output.readLine() == "got")
            #expect(try await process.wait() == .exited(9))
            #expect(try !process.signal(.terminate))
        }
    }

    @Test("a child that follows the request ends by it", arguments: Setting.all)
    func terminate(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let process = try await Process.spawn("sleep", ["300"], on: loop)
            #expect(try await process.terminate() == .signalled(.terminate, coreDumped: false))
            #expect(try await process.terminate() == .signalled(.terminate, coreDumped: false))
        }
    }

    @Test("a child that ignores TERM is killed after the grace period", arguments: Setting.all)
    func ignoresTerm(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let process = try await Process.spawn(
                .shell("trap '' TERM; echo ready; exec sleep 300"), output: .pipe, on: loop)
            let output = try #require(process.output)
            #expect(try await output.read() == Array("ready\n".utf8))
            let start = Instant.monotonicNow
            let status = try await process.terminate(Termination(grace: .milliseconds(200)))
            #expect(status == .signalled(.kill, coreDumped: false))
            #expect(start.duration(to: .monotonicNow) >= .milliseconds(200))
        }
    }

    @Test("a stopped child is ended, too", arguments: Setting.all)
    func stopped(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let process = try await Process.spawn("sleep", ["300"], on: loop)
            try process.signal(.stop)
            await until { Children.state(of: process.id) == "T" }
            let status = try await process.terminate(Termination(grace: .milliseconds(50)))
            #expect(status == .signalled(.kill, coreDumped: false))
        }
    }

    @Test("all of a group is ended, also those that the child has left behind", arguments: Setting.all)
    func group(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            var command = Command.shell("(trap '' TERM; echo ready; exec sleep 300) & wait")
            command.group = .own
            let whole = try await Process.spawn(command, output: .pipe, on: loop)
            let output = try #require(whole.output)
            #expect(try await output.read() == Array("ready\n".utf8))
            try await whole.terminate(Termination(scope: .group))
            // It had the pipe open: only its end brings this one.
            #expect(try await output.read() == nil)
        }
    }

    @Test("a handle that is let go leaves the child alone, and it is reaped", arguments: Setting.all)
    func abandoned(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let ends = try SystemCall.pipeForChild()
            let gate = Descriptor(owning: ends.reader)
            let key = Descriptor(owning: ends.writer)
            var numbers: [pid_t] = []
            for _ in 0..<5 {
                let process = try await Process.spawn("cat", input: .descriptor(gate.number), output: .null, on: loop)
                numbers.append(process.id)
            }
            #expect(numbers.allSatisfy { Children.state(of: $0) != nil })
            key.close()
            #expect(await until(deadline: .seconds(100)) { numbers.allSatisfy { Children.state(of: $0) == nil } })
        }
    }

    @Test("a child that outlives its loop is reaped with the next one", arguments: Drivers.available)
    func outlivesLoop(driver: DriverChoice) async throws {
        let ends = try SystemCall.pipeForChild()
        let gate = Descriptor(owning: ends.reader)
        let key = Descriptor(owning: ends.writer)
        let number = gate.number
        let child = try await Guest.run(.guest(driver)) { loop in
            try await Process.spawn("cat", input: .descriptor(number), output: .null, on: loop).id
        }
        key.close()
        // Another test's spawn may have reaped it already.
        await until { [nil, "Z"].contains(Children.state(of: child)) }
        try await Guest.run(.guest(driver)) { loop in try await Process.run("true", on: loop).checked() }
        #expect(Children.state(of: child) == nil)
    }
}
