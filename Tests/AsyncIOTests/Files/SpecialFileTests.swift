import AsyncIO
import AsyncIOKernel
import AsyncIOTestSupport
import Glibc
import SystemPackage
import Testing

@Suite("Special files")
struct SpecialFileTests {
    @Test("/dev/null takes everything and is at its end; /dev/zero never is", arguments: Setting.all)
    func devices(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            try await withFile("/dev/null", .readingAndWriting(.existing), on: loop) { null in
                try await null.write([UInt8](repeating: 1, count: 100_000))
                #expect(try await null.read() == nil)
                #expect(null.kind == .characterDevice && !null.hasPositions)
                let error = try await ioError { try await null.read(upTo: 1, at: 0) }
                #expect(error.code == .illegalSeek)
            }
            let zeros = try await withFile("/dev/zero", on: loop) { try await $0.read(upTo: 1_000) }
            #expect(zeros == [UInt8](repeating: 0, count: 1_000))
        }
    }

    @Test("a disk that is full is an error that says so, with the path", arguments: Setting.all)
    func full(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let error = try await ioError {
                try await withFile("/dev/full", .writing(.existing), on: loop) { try await $0.write([1]) }
            }
            #expect(error.code == .noSpace && "\(error)".contains("/dev/full"))
        }
    }

    @Test("files of /proc and /sys are read to their end, whatever size they claim", arguments: Setting.all)
    func proc(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let status = try await File.readAll("/proc/self/status", on: loop)
            #expect(String(decoding: status, as: UTF8.self).contains("\nPid:\t\(getpid())\n"))
            #expect(try await !File.readAll("/proc/self/maps", on: loop).isEmpty)
            #expect(try await !File.readAll("/sys/kernel/mm/transparent_hugepage/enabled", on: loop).isEmpty)
        }
    }

    @Test(
        "reading a FIFO waits for a writer, without a thread, and sees the end when it has gone", arguments: Setting.all
    )
    func fifo(setting: Setting) async throws {
        let scratch = try Scratch()
        #expect(unsafe mkfifo(scratch["fifo"], 0o600) == 0)
        try await withLoop(setting) { loop in
            let reader = try await File.open(scratch["fifo"], on: loop)
            #expect(reader.kind == .pipe)
            let reading = Task(executorPreference: loop) {
                var all: [UInt8] = []
                while let part = try await reader.read() { all += part }
                return all
            }
            // Half-way through its wait, the pool is free for others.
            await until { await loop.statistics.waitingOperations > 0 }
            #expect(await loop.statistics.blocking.running.isEmpty)
            let writer = try await File.open(scratch["fifo"], .writing(.existing), on: loop)
            let bytes = Bytes.pattern(200_000)
            try await writer.write(bytes)
            try await writer.close()
            #expect(try await reading.value == bytes)
        }
    }

    @Test("reading all of a FIFO opens it once: its writer meets no reader that goes away", arguments: Setting.all)
    func wholeFIFO(setting: Setting) async throws {
        let scratch = try Scratch()
        #expect(unsafe mkfifo(scratch["fifo"], 0o600) == 0)
        // Opens and closes, on an inotify(7) descriptor of the test's own.
        let watch = Descriptor(owning: CInt(SystemCall.openWatch()))
        let number = watch.number
        try SystemCall.call("watch", "fifo") {
            unsafe inotify_add_watch(number, scratch["fifo"], UInt32(IN_OPEN | IN_CLOSE))
        }
        try await withLoop(setting) { loop in
            let reading = Task(executorPreference: loop) { try await File.readAll(scratch["fifo"], on: loop) }
            await until { await loop.statistics.waitingOperations > 0 }
            var events = [UInt8](repeating: 0, count: 4_096)
            let count = unsafe events.withUnsafeMutableBytes { unsafe read(number, $0.baseAddress, $0.count) }
            #expect(count == 16)
            let writer = try await File.open(scratch["fifo"], .writing(.existing), on: loop)
            try await writer.write([1, 2, 3])
            try await writer.close()
            #expect(try await reading.value == [1, 2, 3])
        }
        _ = watch.number
    }

    @Test("opening a FIFO that nobody reads waits, and can be cancelled", arguments: Setting.all)
    func fifoWithoutReader(setting: Setting) async throws {
        let scratch = try Scratch()
        #expect(unsafe mkfifo(scratch["fifo"], 0o600) == 0)
        try await withLoop(setting) { loop in
            let opening = Task(executorPreference: loop) {
                try await File.open(scratch["fifo"], .writing(.existing), on: loop)
            }
            for _ in 0..<20 { await EventLoop.yield() }
            opening.cancel()
            await #expect(throws: CancellationError.self) { _ = try await opening.value }
        }
    }

    @Test("a read of a FIFO that is cancelled loses nothing", arguments: Setting.all)
    func fifoCancelled(setting: Setting) async throws {
        let scratch = try Scratch()
        #expect(unsafe mkfifo(scratch["fifo"], 0o600) == 0)
        try await withLoop(setting) { loop in
            let reader = try await File.open(scratch["fifo"], on: loop)
            let writer = try await File.open(scratch["fifo"], .writing(.existing), on: loop)
            let reading = Task(executorPreference: loop) { try await reader.read() }
            await until { await loop.statistics.waitingOperations > 0 }
            reading.cancel()
            await #expect(throws: CancellationError.self) { _ = try await reading.value }
            try await writer.write([1, 2, 3])
            #expect(try await reader.read() == [1, 2, 3])
        }
    }

    @Test("writing a FIFO whose reader has gone is EPIPE, and no signal", arguments: Setting.all)
    func brokenFIFO(setting: Setting) async throws {
        let scratch = try Scratch()
        #expect(unsafe mkfifo(scratch["fifo"], 0o600) == 0)
        try await withLoop(setting) { loop in
            let reader = try await File.open(scratch["fifo"], on: loop)
            let writer = try await File.open(scratch["fifo"], .writing(.existing), on: loop)
            try await reader.close()
            #expect(try await ioError { try await writer.write([1]) }.code == .brokenPipe)
        }
    }

    @Test("a terminal is read as it is typed, and does not become ours", arguments: Setting.all)
    func terminal(setting: Setting) async throws {
        let person = Descriptor(owning: unsafe open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC))
        let master = person.number
        var number: UInt32 = 0
        var isLocked: Int32 = 0
        let (getNumber, setLock): (UInt, UInt) = (0x8004_5430, 0x4004_5431)
        try #require(
            unsafe ioctl(master, setLock, &isLocked) == 0 && ioctl(master, getNumber, &number) == 0)
        let path = "/dev/pts/\(number)"
        try await withLoop(setting) { loop in
            let terminal = try await File.open(path, .readingAndWriting(.existing), on: loop)
            let reading = Task(executorPreference: loop) { try await terminal.read() }
            await until { await loop.statistics.waitingOperations > 0 }
            // A second task writes meanwhile.
            try await terminal.write("prompt")
            let line = Array("typed\n".utf8)
            _ = unsafe line.withUnsafeBytes { unsafe write(master, $0.baseAddress, $0.count) }
            #expect(try await reading.value == line)
            try await terminal.close()
        }
        _ = person.number
    }

    @Test("a folder is refused, with the way to list it", arguments: Setting.all)
    func folder(setting: Setting) async throws {
        let scratch = try Scratch()
        try await withLoop(setting) { loop in
            let error = try await ioError { _ = try await File.open(scratch.path, on: loop) }
            #expect(error.code == .isDirectory && "\(error)".contains("Folder.entries"))
            #expect(scratch.openDescriptors == 0)
        }
    }
}
