import AsyncIOKernel
package import AsyncIOLoop
package import Glibc
import SystemPackage

/// A program of Tests/Probes under way: its lines as they come, and how it ended.
///
/// Everything here blocks, so it is used inside ``Watchdog/onThread(_:limit:_:)``.
package struct ProbeProcess: ~Copyable {
    package enum Ending: Equatable { case exited(CInt), signalled(CInt) }

    package let process: pid_t
    private let output: Descriptor
    private var pending: [UInt8] = []
    package private(set) var lines: [String] = []

    /// Starts a program; it gets copies of the descriptors from number 3 on, and no others.
    package init(
        _ program: String, _ arguments: [String], passing descriptors: [CInt] = [], over driver: DriverChoice = .auto
    ) throws {
        // They decide on a variable that the program inherits.
        _ = Drivers.available
        // Close-on-exec from the start: other tests start programs at the same moment, which would hold up our end.
        let ends = try SystemCall.pipeForChild()
        let reader = Descriptor(owning: ends.reader)
        let input = Descriptor(owning: ends.writer)
        var actions = unsafe posix_spawn_file_actions_t()
        unsafe posix_spawn_file_actions_init(&actions)
        defer { unsafe posix_spawn_file_actions_destroy(&actions) }
        unsafe posix_spawn_file_actions_adddup2(&actions, input.number, 1)
        // From high numbers, so that none is overwritten before it is its turn.
        let copies = descriptors.map { Descriptor.copy(of: $0) }
        defer { for copy in copies { Glibc.close(copy) } }
        for (index, copy) in copies.enumerated() {
            unsafe posix_spawn_file_actions_adddup2(&actions, copy, CInt(3 + index))
        }
        // The probe starts with the signals' own actions, whatever this process was started with.
        var attributes = posix_spawnattr_t()
        unsafe posix_spawnattr_init(&attributes)
        defer { unsafe posix_spawnattr_destroy(&attributes) }
        var signals = sigset_t()
        unsafe sigfillset(&signals)
        unsafe posix_spawnattr_setsigdefault(&attributes, &signals)
        unsafe sigemptyset(&signals)
        unsafe posix_spawnattr_setsigmask(&attributes, &signals)
        unsafe posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK))
        let path = program.hasPrefix("/") ? program : Self.folder + "/" + program
        var words = unsafe ([path] + arguments).map { unsafe strdup($0) } + [nil]
        defer { unsafe words.forEach { unsafe free($0) } }
        // The first of a name is the one that counts.
        var environment: [UnsafeMutablePointer<CChar>?] = unsafe []
        if driver != .auto { unsafe environment.append(strdup("ASYNCIO_DRIVER=\(driver.rawValue)")) }
        defer { if driver != .auto { unsafe free(environment[0]) } }
        var variable = unsafe environ
        while let text = unsafe variable.pointee {
            unsafe environment.append(text)
            unsafe variable += 1
        }
        unsafe environment.append(nil)
        var identifier: pid_t = 0
        let code = unsafe posix_spawn(&identifier, path, &actions, &attributes, &words, &environment)
        guard code == 0 else { throw IOError(Errno(rawValue: code), operation: "posix_spawn", subject: path) }
        process = identifier
        output = reader
        input.close()
    }

    /// Where the build has put the tests, and the probes beside them.
    package static let folder: String = {
        var path = [CChar](repeating: 0, count: 4096)
        let count = unsafe readlink("/proc/self/exe", &path, path.count)
        let bytes = path.prefix(max(count, 0)).map { UInt8(bitPattern: $0) }
        return bytes.lastIndex(of: UInt8(ascii: "/")).map { String(decoding: bytes[..<$0], as: UTF8.self) } ?? "."
    }()

    /// The next line, or nil at the end.
    package mutating func line() -> String? {
        while true {
            if let end = pending.firstIndex(of: UInt8(ascii: "\n")) {
                let line = String(decoding: pending[..<end], as: UTF8.self)
                pending.removeFirst(end + 1)
                lines.append(line)
                return line
            }
            var bytes = [UInt8](repeating: 0, count: 4096)
            let number = output.number
            let count = SystemCall.result {
                unsafe bytes.withUnsafeMutableBytes { unsafe read(number, $0.baseAddress, $0.count) }
            }
            guard count > 0 else { return nil }
            pending += bytes.prefix(count)
        }
    }

    /// Reads until the line has come. False if the probe ended before.
    package mutating func waits(for wanted: String) -> Bool {
        while let line = line() {
            if line == wanted { return true }
        }
        return false
    }

    /// Stops the process, and returns when it stands still.
    package func stop() {
        send(SIGSTOP)
        var status: CInt = 0
        let identifier = process
        _ = SystemCall.result { unsafe waitpid(identifier, &status, WUNTRACED) }
    }

    package func send(_ signal: CInt) { kill(process, signal) }

    /// Reads to the end and awaits the process.
    package mutating func end() -> Ending {
        while line() != nil {}
        var status: CInt = 0
        let identifier = process
        _ = SystemCall.result { unsafe waitpid(identifier, &status, 0) }
        return status & 0x7f == 0 ? .exited((status >> 8) & 0xff) : .signalled(status & 0x7f)
    }
}

extension Descriptor {
    /// A copy with a high number, close-on-exec.
    fileprivate static func copy(of number: CInt) -> CInt { fcntl(number, F_DUPFD_CLOEXEC, 200) }
}

/// What a probe said, and how it ended.
package struct ProbeRun: Sendable {
    package let lines: [String]
    package let ending: ProbeProcess.Ending

    /// Runs a probe to its end, sending it signals, each after a line.
    package static func of(
        _ program: String, _ scene: String..., sending signals: [(after: String, signal: CInt)] = []
    ) async throws -> ProbeRun {
        try await Watchdog.onThread("\(program) \(scene.joined(separator: " "))", limit: .seconds(400)) {
            var process = try ProbeProcess(program, scene, over: signals.isEmpty ? .auto : driverForSignals)
            for (line, signal) in signals where process.waits(for: line) { process.send(signal) }
            let ending = process.end()
            return ProbeRun(lines: process.lines, ending: ending)
        }
    }

    /// The thread sanitizer keeps a signal back until the next call that it knows. Of those that wait it knows
    /// epoll_wait(2), and not io_uring_enter(2), which would wait for ever.
    private static var driverForSignals: DriverChoice { Sanitizer.isThread ? .epoll : .auto }

    /// Runs a probe at a terminal of its own, where Ctrl-C is pressed; its exit is told in the last line. Exit code
    /// 127 where there is no python3.
    package static func atTerminal(
        _ program: String, _ scene: String, presses: Int
    ) async throws -> ProbeRun {
        let tests = #filePath.split(separator: "/", omittingEmptySubsequences: false).dropLast(2).joined(separator: "/")
        return try await Watchdog.onThread("\(program) \(scene) at a terminal", limit: .seconds(120)) {
            let script = [tests + "/Probes/terminal.py", "\(presses)"]
            let words = ["python3", "-B"] + script + [ProbeProcess.folder + "/" + program, scene]
            var process = try ProbeProcess("/usr/bin/env", words, over: driverForSignals)
            let ending = process.end()
            return ProbeRun(lines: process.lines, ending: ending)
        }
    }
}
