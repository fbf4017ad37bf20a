import AsyncIO
import AsyncIOKernel
import AsyncIOTestSupport
import Glibc
import SystemPackage
import Testing

@Suite("What a child gets")
struct SpawnTests {
    @Test("descriptors: 0, 1, 2 and nothing else, whatever is open here", arguments: Setting.all)
    func descriptors(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            // As other libraries open them: not close-on-exec.
            let leaks = try (0..<5).map { _ in try SystemCall.call("open") { unsafe open("/dev/null", O_RDONLY) } }
            defer { for leak in leaks { close(CInt(leak)) } }
            let listing = try await Process.run("ls", ["/proc/self/fd"], on: loop)
            // The last is the folder that ls reads.
            #expect(listing.outputText == "0\n1\n2\n3\n")
        }
    }

    @Test("extra descriptors at their numbers, also where those are taken crosswise", arguments: Setting.all)
    func extraDescriptors(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let folder = try Scratch()
            let files = try ["a", "b"].map { name in
                try SystemCall.open(folder.file(name, name), O_RDONLY)
            }
            defer { for file in files { close(file) } }
            // Each goes to the other's number, if that can be had, and both to more.
            var command = Command.shell("cat /proc/self/fd/$1 /proc/self/fd/$2; ls /proc/$$/fd", files.map { "\($0)" })
            command.descriptors = [files[0]: files[1], files[1]: files[0]]
            let result = try await Process.run(command, on: loop)
            #expect(result.outputText.hasPrefix("ba"))
            let numbers = result.outputText.dropFirst(2).split(separator: "\n").compactMap { CInt($0) }
            #expect(numbers.sorted() == ([0, 1, 2] + files).sorted())
            command.descriptors = [2: files[0]]
            #expect(try await ioError { try await Process.run(command, on: loop) }.code == .invalidArgument)
        }
    }

    @Test("its output and its error output may change places", arguments: Setting.all)
    func swapped(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let ends = try SystemCall.pipeForChild()
            let reader = Descriptor(owning: ends.reader)
            let writer = Descriptor(owning: ends.writer)
            let process = try await Process.spawn(
                .shell("echo out; echo err >&2"), output: .descriptor(writer.number), error: .merge, on: loop)
            #expect(try await process.wait().isSuccess)
            let number = reader.number
            #expect(String(decoding: try SystemCall.bytes(of: number, count: 100), as: UTF8.self) == "out\nerr\n")
        }
    }

    @Test("its environment: ours, ours with changes, or its own", arguments: Setting.all)
    func environment(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let script = "echo \"${HOME-none} ${ASYNCIO_TEST-none} ${PATH-none}\""
            func say(_ environment: ProcessEnvironment) async throws -> String {
                let result = try await Process.run(
                    Command("/bin/sh", ["-c", script], environment: environment), on: loop)
                return result.outputText
            }
            let home = unsafe getenv("HOME").map { unsafe String(cString: $0) } ?? "none"
            let path = unsafe getenv("PATH").map { unsafe String(cString: $0) } ?? "none"
            #expect(try await say(.inherit) == "\(home) none \(path)\n")
            #expect(try await say(.inherit(adding: ["ASYNCIO_TEST": "a=b", "HOME": nil])) == "none a=b \(path)\n")
            let listing = try await Process.run("env", environment: .custom(["ONE": "1"]), on: loop)
            #expect(listing.outputText == "ONE=1\n")
            let wrong = try await ioError { try await say(.inherit(adding: ["A=B": "c"])) }
            #expect(wrong.code == .invalidArgument)
        }
    }

    @Test("numbers that name no group and no descriptor are errors that name them", arguments: Setting.all)
    func nonsense(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            for number: CInt in [0, -1, .min] {
                let error = try await ioError { try await Process.run("true", group: .joining(number), on: loop) }
                #expect(error.code == .invalidArgument && "\(error)".contains("process group \(number) "))
            }
            let errors = [
                try await ioError { try await Process.run("true", input: .descriptor(-1), on: loop) },
                try await ioError { try await Process.run("true", output: .descriptor(-1), on: loop) },
            ]
            #expect(errors.allSatisfy { $0.code == .badFileDescriptor && $0.subject == "descriptor -1" })
        }
    }

    @Test("a variable that is no UTF-8 is inherited as it is, also beside changes", arguments: Setting.all)
    func bytesInEnvironment(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            // By a shell, as the variables of this process are for all of its tests.
            let inner = #"printf %s "$ODD" "$NEW" | od -An -tx1"#
            let probe = ProbeProcess.folder + "/probe-processes"
            let script = #"ODD=$(printf 'a\377b'); export ODD; exec "$1" odd-environment "$2""#
            let result = try await Process.shell(script, [probe, inner], on: loop)
            #expect(result.outputText == " 61 ff 62 6e\n")
        }
    }

    @Test("a program is looked for in the PATH of the child, seen from its folder", arguments: Setting.all)
    func lookUp(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let folder = try Scratch()
            let path = try folder.file("asyncio-test-tool", "#!/bin/sh\necho found in $(pwd)\n")
            // Not the test's own: a folder there that this user may not enter could have the program (EACCES).
            let usual = ProcessEnvironment.inherit(adding: ["PATH": "/bin:/usr/bin"])
            let missing = try await ioError {
                try await Process.run("asyncio-test-tool", environment: usual, on: loop)
            }
            #expect(missing.code == .noSuchFileOrDirectory)
            #expect("\(missing)".hasPrefix("spawn asyncio-test-tool: not found in the PATH"))
            let environment = ProcessEnvironment.inherit(adding: ["PATH": "/nowhere:\(folder.path)"])
            let forbidden = try await ioError {
                try await Process.run("asyncio-test-tool", environment: environment, on: loop)
            }
            #expect(forbidden.code == .permissionDenied)
            #expect(unsafe chmod(path, 0o700) == 0)
            let found = try await Process.run("asyncio-test-tool", environment: environment, folder: "/", on: loop)
            #expect(found.outputText == "found in /\n")
            // An empty entry is the current folder: the child's.
            let here = ProcessEnvironment.inherit(adding: ["PATH": ":/bin:/usr/bin"])
            let relative = try await Process.run(
                "asyncio-test-tool", environment: here, folder: folder.path, on: loop)
            #expect(relative.outputText == "found in \(folder.path)\n")
            let slashed = try await Process.run("./asyncio-test-tool", folder: folder.path, on: loop)
            #expect(slashed.outputText == "found in \(folder.path)\n")
        }
    }

    @Test("what cannot start is an error that names it, and leaves nothing behind", arguments: Setting.all)
    func failures(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let folder = try Scratch()
            try folder.file("script", "#!/no/such/interpreter\n", mode: 0o700)
            try folder.file("text", "no program", mode: 0o700)
            func failure(_ program: String, _ arguments: [String] = [], folder: String? = nil) async throws -> IOError {
                try await ioError { try await Process.run(program, arguments, folder: folder, on: loop) }
            }
            let missing = try await failure("/no/such/program")
            #expect(missing.code == .noSuchFileOrDirectory)
            #expect("\(missing)" == "spawn /no/such/program: No such file or directory")
            #expect(try await failure("").code == .noSuchFileOrDirectory)
            #expect(try await failure("/etc/passwd").code == .permissionDenied)
            #expect(try await failure("/tmp").code == .permissionDenied)
            let script = try await failure(folder["script"])
            #expect("\(script)".contains("not the interpreter"))
            #expect(try await failure(folder["text"]).code == .execFormatError)
            let lost = try await failure("true", folder: "/no/such/folder")
            #expect("\(lost)" == "change to folder /no/such/folder: No such file or directory")
            #expect(try await failure("true", folder: "/etc/passwd").code == .notDirectory)
            let cut = try await failure("echo", ["a\0b"])
            #expect(cut.code == .invalidArgument)
            #expect("\(cut)".contains("NUL"))
            #expect(try await failure("tr\0ue").code == .invalidArgument)
            let long = [String](repeating: String(repeating: "x", count: 100_000), count: 100)
            #expect(try await failure("true", long).code == .argListTooLong)
            #expect(try await until(deadline: .seconds(60)) { try Children.zombies.isEmpty })
        }
    }

    @Test("no signal is blocked or ignored, whatever is here", arguments: Setting.all)
    func signals(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            // Tests run beside this one, but none uses that signal.
            signal(SIGXCPU, SIG_IGN)
            defer { signal(SIGXCPU, SIG_DFL) }
            let status = try await Process.run("cat", ["/proc/self/status"], on: loop).outputText
            for mask in ["SigBlk", "SigIgn"] {
                let line = status.split(separator: "\n").first { $0.hasPrefix(mask) }
                #expect(line == "\(mask):\t0000000000000000")
            }
        }
    }

    @Test("a start that fails leaves the signal mask as it was", arguments: Drivers.available)
    func mask(driver: DriverChoice) async throws {
        try await Guest.run(.guest(driver)) { loop in
            func mask() -> [UInt64] {
                var set = sigset_t()
                unsafe pthread_sigmask(SIG_BLOCK, nil, &set)
                return unsafe withUnsafeBytes(of: &set) { unsafe Array($0.bindMemory(to: UInt64.self)) }
            }
            let before = mask()
            for _ in 0..<3 { _ = try await ioError { try await Process.run("/no/such/program", on: loop) } }
            #expect(mask() == before)
        }
    }

    @Test("a group or a session of its own", arguments: Setting.all)
    func groups(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            /// The numbers of the process, its group and its session (proc(5), stat).
            func numbers(_ group: ProcessGroup) async throws -> [pid_t] {
                let text = try await Process.run("cat", ["/proc/self/stat"], group: group, on: loop).outputText
                let fields = text.split(separator: " ").compactMap { pid_t($0) }
                return [fields[0], fields[2], fields[3]]
            }
            let inherited = try await numbers(.parents)
            #expect(inherited[1] == getpgrp())
            #expect(inherited[2] == getsid(0))
            let own = try await numbers(.own)
            #expect(own[1] == own[0] && own[2] == getsid(0))
            let session = try await numbers(.session)
            #expect(session[1] == session[0] && session[2] == session[0])
            let leader = try await Process.spawn("sleep", ["300"], group: .own, on: loop)
            #expect(try await numbers(.joining(leader.id))[1] == leader.id)
            try await leader.terminate()
            let failure = try await ioError { try await numbers(.joining(1)) }
            #expect(failure.code == .notPermitted)
        }
    }
}
