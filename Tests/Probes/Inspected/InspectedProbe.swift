import AsyncIO
import AsyncIOInspection
import AsyncIOKernel
import AsyncIOLoop
import Glibc

/// Scenes of inspected programs, for tests.
@main struct InspectedProbe {
    static func main() throws {
        let arguments = CommandLine.arguments
        switch arguments.dropFirst().first {
        case "fork": try fork()
        case "loops": try loops(Int(arguments[2]) ?? 1, arguments[3])
        default: print("scenes: fork, loops COUNT exit|interrupted|kill")
        }
    }

    private static func say(_ line: String) {
        print(line)
        fflush(nil)
    }

    private static let options = EventLoop.Options(name: "child", mode: .guest, interrupts: [])

    // MARK: A child that goes on without exec(3)

    private static func fork() throws {
        let told = Condition(0)
        let watchdog = Inspection.WatchdogOptions(limit: .milliseconds(2), leastInterval: .zero) { _ in
            told.withLock { $0 += 1 }
            told.broadcast()
        }
        let debug = Inspection.DebugOptions(handler: { _ in
            told.withLock { $0 += 1_000_000 }
            told.broadcast()
        })
        Inspection.start(Inspection.Options(watchdog: watchdog, debug: debug))
        // The threads of the parent are there.
        try EventLoop.run(options: options) { _ = told.wait { $0 > 0 ? true : nil } }
        told.withLock { $0 = 0 }
        let child = forkWithoutExec()
        guard child == 0 else {
            var status: CInt = 0
            while unsafe waitpid(child, &status, 0) < 0 && errno == EINTR {}
            return say("the child has ended with \(status)")
        }
        try EventLoop.run(options: options) {
            _ = told.wait { $0 % 1_000_000 > 0 ? true : nil }
            say("the watchdog has seen the child's loop")
            do { _ = try await PipeStream.pair() }
            _ = told.wait { $0 >= 1_000_000 ? true : nil }
            say("debug mode has found what the child let go of")
            let tree = await Inspection.captureTaskTree()
            say("the child sees \(tree.loops.count) loop")
            let text = try await whatQuitPrints()
            say("at SIGQUIT it prints \(text.contains("loop 2 child") ? "its loop" : text)")
        }
        exit(0)
    }

    private static func whatQuitPrints() async throws -> String {
        var ends: [CInt] = [0, 0]
        guard unsafe pipe(&ends) == 0, dup2(ends[1], 2) == 2 else { return "nothing: no pipe" }
        raise(SIGQUIT)
        return try await offload { [reader = ends[0]] in
            var bytes = [UInt8](repeating: 0, count: 4096)
            let count = unsafe read(reader, &bytes, bytes.count)
            return String(decoding: bytes.prefix(max(count, 0)), as: UTF8.self)
        }
    }

    /// fork(2), which Swift's module of the C library hides for good reasons.
    private static func forkWithoutExec() -> pid_t {
        guard let symbol = unsafe dlsym(nil, "fork") else { return -1 }
        return unsafe unsafeBitCast(symbol, to: (@convention(c) () -> pid_t).self)()
    }

    // MARK: One loop after the other

    private static func loops(_ count: Int, _ end: String) throws {
        for number in 1...count {
            try EventLoop.run(options: EventLoop.Options(name: "loop \(number)", mode: .guest, interrupts: [])) {
                await EventLoop.yield()
            }
        }
        switch end {
        case "kill": raise(SIGKILL)
        case "interrupted":
            let options = EventLoop.Options(name: "last", interrupts: [.terminate], interruptEnding: .process)
            try EventLoop.run(options: options) {
                raise(SIGTERM)
                try await EventLoop.current?.sleep(for: .seconds(1_000))
            }
        default: say("over")
        }
    }
}
