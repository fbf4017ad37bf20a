import AsyncIO
import Glibc
import Synchronization

/// `probe-processes SCENE`: what would disturb the children of other tests, in a process of its own.
@main
struct ProcessProbe {
    static func main() throws {
        // A probe that hangs is ended by the kernel.
        alarm(300)
        let arguments = CommandLine.arguments.dropFirst()
        let count = arguments.dropFirst().first.flatMap { Int($0) } ?? 0
        switch arguments.first {
        case "thief": try thief(count)
        case "ignored": try ignored()
        case "inherit": try inherit()
        case "flat": try flat(count)
        case "odd-environment":
            let environment = ProcessEnvironment.inherit(adding: ["NEW": "n"])
            let script = Command("/bin/sh", ["-c", arguments.last ?? ""], environment: environment)
            try EventLoop.run { _ = try await Process.spawn(script).wait() }
        case "fork": try Fork.scene()
        case "recycle": try recycle(count)
        case "no-handles":
            try EventLoop.run {
                do { try await Process.run("sleep", ["300"]).checked() } catch { say("\(error)") }
                try await EventLoop.current?.sleep(for: .milliseconds(1))  // sleeps: to show that it can
                say("then \(children()) children, and the loop goes on")
            }
        default: say("no such scene")
        }
    }

    /// At once: standard output is a pipe, and would keep the lines.
    static func say(_ line: String) {
        print(line)
        fflush(nil)
    }

    /// Another part of the program reaps whatever child there is.
    private static func thief(_ count: Int) throws {
        var thread = pthread_t()
        unsafe pthread_create(&thread, nil, { _ in while true { if waitpid(-1, nil, 0) < 0 { sched_yield() } } }, nil)
        try EventLoop.run {
            var (known, lost) = (0, 0)
            for _ in 0..<count {
                do {
                    let result = try await Process.shell("exit 7")
                    if result.status == .exited(7) { known += 1 }
                } catch let error as IOError where error.code == .noChildProcess {
                    lost += 1
                    if lost == 1 { say("\(error)") }
                }
            }
            say("\(known + lost) of \(count)")
        }
    }

    /// The kernel itself reaps all children.
    private static func ignored() throws {
        signal(SIGCHLD, SIG_IGN)
        try EventLoop.run {
            do {
                say("\(try await Process.run("true"))")
            } catch {
                say("\(error)")
            }
            // Ignored only after the start: the status is known, or it is said that it is not.
            signal(SIGCHLD, SIG_DFL)
            let process = try await Process.spawn("cat", input: .pipe)
            signal(SIGCHLD, SIG_IGN)
            process.input?.close()
            do {
                say("then \(try await process.wait())")
            } catch let error as IOError where error.code == .noChildProcess {
                say("then lost")
            }
        }
    }

    /// Children that share our standard streams.
    private static func inherit() throws {
        let before = (0...2).map { fcntl($0, F_GETFL) }
        try EventLoop.run {
            let status = try await Process.spawn("seq", ["300000"]).wait()
            let after = (0...2).map { fcntl($0, F_GETFL) }
            say("\(status), flags \(before == after ? "unchanged" : "changed")")
        }
    }

    /// The number of a child that has ended becomes another child's; the old one's handle is used once more.
    private static func recycle(_ count: Int) throws {
        say("process \(getpid())")
        let last = unsafe open("/proc/sys/kernel/ns_last_pid", O_WRONLY | O_CLOEXEC)
        guard getpid() == 1, last >= 0 else { return say("no choice") }
        try EventLoop.run {
            var (again, reached) = (0, 0)
            while again < count {
                let old = try await Process.spawn("true", group: .own)
                _ = try await old.wait()
                let before = Array("\(old.id - 1)".utf8)
                guard unsafe before.withUnsafeBytes({ unsafe pwrite(last, $0.baseAddress, $0.count, 0) }) > 0 else {
                    return say("no choice")
                }
                let new = try await Process.spawn("sleep", ["300"], group: .own)
                if new.id == old.id {
                    again += 1
                    let hasReached = try old.signal(.kill) || old.signal(.kill, to: .group)
                    let end = try await new.terminate()
                    if hasReached || end != .signalled(.terminate, coreDumped: false) { reached += 1 }
                } else {
                    // A thread was faster.
                    try await new.terminate()
                }
            }
            say("\(again) numbers came again, \(reached) of their new owners were reached")
        }
    }

    /// Descriptors, threads and zombies after children of every fate.
    private static func flat(_ count: Int) throws {
        try EventLoop.run {
            let warm = try await Process.shell("true").status
            let (descriptors, threads) = (entries("/proc/self/fd"), entries("/proc/self/task"))
            var fates = [warm.isSuccess ? 1 : 0, 0, 0, 0, 0]
            for index in 0..<count {
                switch index % 4 {
                case 0: if try await Process.shell("echo x; echo y >&2").status.isSuccess { fates[0] += 1 }
                case 1: do { _ = try await Process.run("/no/such/program") } catch is IOError { fates[1] += 1 }
                case 2:
                    let run = Task { try await Process.shell("cat; exec sleep 100", input: .text("x")) }
                    // At once, or when the child may run.
                    let delay = index % 8 == 2 ? Duration.zero : .milliseconds(2)
                    EventLoop.current?.callLater(delay) { run.cancel() }
                    if case .failure(is CancellationError) = await run.result { fates[2] += 1 }
                default:
                    _ = try await Process.spawn("true", output: .pipe)
                    fates[3] += 1
                }
            }
            // Abandoned children are reaped when they end.
            while children() > 0 { await EventLoop.yield() }
            await EventLoop.yield()
            let after = entries("/proc/self/fd")
            say("descriptors \(after == descriptors ? "flat" : "\(descriptors) before, \(after) after")")
            // Those of the loop's pool.
            say("threads \(entries("/proc/self/task") <= threads + 8 ? "few" : "many")")
            say("fates \(fates.dropLast().map { "\($0)" }.joined(separator: " "))")
        }
    }

    static func entries(_ folder: String) -> Int {
        guard let stream = unsafe opendir(folder) else { return 0 }
        defer { unsafe closedir(stream) }
        var count = 0
        while unsafe readdir(stream) != nil { count += 1 }
        return count
    }

    /// Whether there are children, also such as have ended.
    private static func children() -> Int {
        var information = unsafe siginfo_t()
        let options = Int32(WEXITED) | Int32(WNOHANG) | Int32(WNOWAIT)
        return unsafe waitid(P_ALL, 0, &information, options) == 0 ? 1 : 0
    }
}
