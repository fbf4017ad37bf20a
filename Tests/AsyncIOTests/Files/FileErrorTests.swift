import AsyncIO
import AsyncIOKernel
import AsyncIOLoop
import AsyncIOTestSupport
import Glibc
import SystemPackage
import Testing

@Suite("What goes wrong with files")
struct FileErrorTests {
    @Test("a file system that is full ends a write, which says how far it came", arguments: Setting.all)
    func full(setting: Setting) async throws {
        // The limit of file sizes is the whole process's, so it is a small file system that is filled.
        let scratch = try Scratch(in: "/dev/shm")
        try await withLoop(setting) { loop in
            let file = try await File.open(scratch["a"], .writing(.createNew), on: loop)
            var room = statvfs()
            #expect(unsafe statvfs(scratch.path, &room) == 0)
            // More than there can be: a hole, behind which one byte finds no offset.
            let error = try await ioError { try await file.allocate(Int64(clamping: room.f_blocks) * 4_096 * 2) }
            #expect(error.code == .noSpace && "\(error)".contains(scratch["a"]))
            try await file.close()
        }
    }

    @Test("beyond the process's limit of file sizes is an error, and no signal that ends it")
    func sizeLimit() async throws {
        // The limit is the whole process's: one setting after the other, and far beyond what other tests write.
        for setting in Setting.all {
            let scratch = try Scratch()
            try await withLoop(setting) { loop in
                let file = try await File.open(scratch["a"], .readingAndWriting(.createNew), on: loop)
                let resource = __rlimit_resource_t(RLIMIT_FSIZE.rawValue)
                var before = rlimit()
                #expect(unsafe getrlimit(resource, &before) == 0)
                var limit = before
                limit.rlim_cur = 68_719_476_736
                #expect(unsafe setrlimit(resource, &limit) == 0)
                defer { _ = unsafe setrlimit(resource, &before) }
                let error = try await ioError { try await file.write([1, 2], at: 68_719_476_736) }
                #expect(error.code == .fileTooLarge && "\(error)".contains(scratch["a"]))
                let second = try await ioError { try await file.write([1, 2], at: 68_719_476_735) }
                #expect(second.code == .fileTooLarge && "\(second)".contains("after 1 bytes"))
                #expect(try await ioError { try await file.truncate(to: 1 << 37) }.code == .fileTooLarge)
            }
        }
    }

    @Test("what syncing and closing report is thrown, once, and the file is closed", arguments: Drivers.available)
    func injected(driver: DriverChoice) async throws {
        let scratch = try Scratch()
        try await withFaults(driver) { call in
            switch call {
            case .sync: Errno.ioError.negated
            case .close(let number): SystemCall.close(number) < 0 ? nil : Errno.diskQuotaExceeded.negated
            default: nil
            }
        } body: { loop in
            let file = try await File.open(scratch["a"], .writing(.createNew), on: loop)
            try await file.write([1])
            let sync = try await ioError { try await file.sync() }
            #expect(sync.code == .ioError && "\(sync)" == "sync \(scratch["a"]): Input/output error")
            let close = try await ioError { try await file.close() }
            #expect(close.code == .diskQuotaExceeded && close.operation == "close")
            try await file.close()
            #expect(scratch.openDescriptors == 0)
            #expect(try await ioError { try await file.write([1]) }.code == .badFileDescriptor)
        }
    }

    @Test(
        "an ending loop that takes nothing new closes its files, and takes its drafts away",
        arguments: Drivers.available)
    func refused(driver: DriverChoice) async throws {
        let scratch = try Scratch()
        let isEnding = Counter()
        try await withFaults(driver) { _ in
            isEnding.value > 0 ? Errno.loopClosed.negated : nil
        } body: { loop in
            let file = try await File.open(scratch["a"], .writing(.createNew), on: loop)
            await #expect(throws: EventLoopError.self) {
                try await File.replace(scratch["a"], on: loop) { file in
                    isEnding.add()
                    try await file.sync()
                }
            }
            try await file.close()
            #expect(scratch.openDescriptors == 0 && scratch.names() == ["a"])
        }
    }

    @Test("short writes go on where they stopped, and an error then says so", arguments: Drivers.available)
    func shortWrites(driver: DriverChoice) async throws {
        let scratch = try Scratch()
        let bytes = Bytes.pattern(50_000)
        let calls = Counter()
        try await withFaults(driver) { call in
            guard case .write(let number, let memory, let offset) = call else { return nil }
            if calls.add() == 4 { return Errno.noSpace.negated }
            let part = unsafe UnsafeRawBufferPointer(rebasing: memory.prefix(10_000))
            return unsafe SystemCall.write(number, part, at: offset ?? -1)
        } body: { loop in
            let file = try await File.open(scratch["a"], .writing(.createNew), on: loop)
            let error = try await ioError { try await file.write(bytes) }
            #expect(error.code == .noSpace && "\(error)".contains("after 30000 bytes"))
            #expect(file.position == 30_000)
            try await file.write(Array(bytes[30_000...]))
            #expect(scratch.bytes("a") == bytes)
        }
    }

    @Test("a driver may do a call later: the memory is still there", arguments: Drivers.available)
    func pending(driver: DriverChoice) async throws {
        let scratch = try Scratch()
        let path = try scratch.file("a", Bytes.pattern(5_000))
        let deferred = Counter()
        try await withFaults(driver, deferred: deferred) { _ in
            nil
        } body: { loop in
            let file = try await File.open(path, .readingAndWriting(.existing), on: loop)
            try await file.write([9, 9], at: 5_000)
            #expect(try await file.readRest() == Bytes.pattern(5_000) + [9, 9])
            try await file.close()
        }
        #expect(deferred.value > 3)
    }

    @Test("closing waits for nobody: it is refused while the file is used", arguments: Setting.all)
    func busy(setting: Setting) async throws {
        let scratch = try Scratch()
        #expect(unsafe mkfifo(scratch["fifo"], 0o600) == 0)
        try await withLoop(setting) { loop in
            let reader = try await File.open(scratch["fifo"], on: loop)
            let reading = Task(executorPreference: loop) { try await reader.read() }
            await until { await loop.statistics.waitingOperations > 0 }
            let error = try await ioError { try await reader.close() }
            #expect(error.code == .resourceBusy)
            reading.cancel()
            _ = await reading.result
            try await reader.close()
        }
    }

    @Test(
        "a task that is cancelled begins nothing, and leaks nothing; closing works all the same", arguments: Setting.all
    )
    func cancelled(setting: Setting) async throws {
        let scratch = try Scratch()
        let path = try scratch.file("a", [1, 2, 3])
        try await withLoop(setting) { loop in
            let file = try await File.open(path, .readingAndWriting(.existing), on: loop)
            let task = Task(executorPreference: loop) {
                while !Task.isCancelled { await Task.yield() }
                await #expect(throws: CancellationError.self) { _ = try await file.read() }
                await #expect(throws: CancellationError.self) { try await file.write([9]) }
                await #expect(throws: CancellationError.self) { _ = try await File.open(path, on: loop) }
                await #expect(throws: CancellationError.self) {
                    _ = try await File.open(path, .writing(.truncating), on: loop)
                }
                try await file.close()
            }
            task.cancel()
            try await task.value
            #expect(scratch.openDescriptors == 0)
            #expect(scratch.bytes("a") == [1, 2, 3])
        }
    }

    @Test("opens that are cancelled at any moment leak no descriptor", arguments: Setting.all)
    func cancelledOpens(setting: Setting) async throws {
        let scratch = try Scratch()
        var randomness = Randomness()
        let pauses = (0..<300).map { _ in Int.random(in: 0...6, using: &randomness) }
        try await withLoop(setting) { loop in
            for (index, pause) in pauses.enumerated() {
                let task = Task(executorPreference: loop) {
                    let file = try await File.open(scratch["f\(index)"], .writing(.createOrOpen), on: loop)
                    try await file.write([1])
                    try await file.close()
                }
                for _ in 0..<pause { await Task.yield() }
                task.cancel()
                _ = await task.result
            }
            // Files that were let go are closed in the background.
            await until { scratch.openDescriptors == 0 }
        }
    }

    @Test("a file that nobody refers to is closed", arguments: Setting.all)
    func leaked(setting: Setting) async throws {
        let scratch = try Scratch()
        try await withLoop(setting) { loop in
            for index in 0..<10 {
                let file = try await File.open(scratch["\(index)"], .writing(.createNew), on: loop)
                try await file.write([1])
                _ = try await File.open(scratch["\(index)"], on: loop)
            }
            await until { scratch.openDescriptors == 0 }
        }
    }

    @Test("reading what is open for writing, and the reverse, says so", arguments: Setting.all)
    func wrongWay(setting: Setting) async throws {
        let scratch = try Scratch()
        try await withLoop(setting) { loop in
            let writer = try await File.open(scratch["a"], .writing(.createNew), on: loop)
            let error = try await ioError { _ = try await writer.read() }
            #expect("\(error)".contains("open for writing only"))
            let reader = try await File.open(scratch["a"], on: loop)
            let reverse = try await ioError { try await reader.write([1]) }
            #expect("\(reverse)".contains("open for reading only"))
        }
    }
}
