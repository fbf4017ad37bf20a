import AsyncIO
import AsyncIOKernel
import AsyncIOTestSupport
import Glibc
import SystemPackage
import Testing

@Suite("Files")
struct FileTests {
    @Test("of the disk are not open non-blocking, and append as they were told to", arguments: Setting.all)
    func flags(setting: Setting) async throws {
        let scratch = try Scratch()
        try scratch.file("a", [1])
        try await withLoop(setting) { loop in
            for mode in [File.Mode.reading, .appending(.existing)] {
                let file = try await File.open(scratch["a"], mode, on: loop)
                let flags = try await file.withDescriptor { fcntl($0, F_GETFL) }
                #expect(flags & O_NONBLOCK == 0 && (flags & O_APPEND != 0) == (mode == .appending(.existing)))
                try await file.close()
            }
        }
    }

    @Test("what is written is read again, from the position on", arguments: Setting.all)
    func sequential(setting: Setting) async throws {
        let scratch = try Scratch()
        try await withLoop(setting) { loop in
            let file = try await File.open(scratch["a"], .readingAndWriting(.createNew), on: loop)
            let bytes = Bytes.pattern(300_001)
            try await file.write(Array(bytes[..<100_000]))
            try await file.write(Array(bytes[100_000...]))
            #expect(file.position == 300_001)
            try await file.seek(to: 0)
            var read: [UInt8] = []
            while let part = try await file.read(upTo: 70_000) { read += part }
            #expect(read == bytes)
            #expect(try await file.read() == nil)
            try await file.close()
            #expect(scratch.bytes("a") == bytes)
        }
    }

    @Test("reads and writes with an offset leave the position alone", arguments: Setting.all)
    func positioned(setting: Setting) async throws {
        let scratch = try Scratch()
        try await withLoop(setting) { loop in
            try await withFile(scratch["a"], .readingAndWriting(.createNew), on: loop) { file in
                try await file.write([1, 2, 3, 4], at: 6)
                #expect(file.position == 0)
                #expect(try await file.read(upTo: 3, at: 6) == [1, 2, 3])
                #expect(try await file.read(upTo: 100, at: 4) == [0, 0, 1, 2, 3, 4])
                #expect(try await file.read(upTo: 1, at: 10) == nil)
                #expect(file.position == 0)
            }
        }
    }

    @Test("reading into a span fills its free part and no more", arguments: Setting.all)
    func spans(setting: Setting) async throws {
        let scratch = try Scratch()
        let path = try scratch.file("a", Bytes.pattern(10_000))
        try await withLoop(setting) { loop in
            let file = try await File.open(path, on: loop)
            var buffer = IOBuffer(capacity: 4_096)
            var total: [UInt8] = []
            while true {
                buffer.removeAll()
                var free = unsafe OutputRawSpan(buffer: buffer.freeSpace, initializedCount: 0)
                let count = try await file.read(into: &free)
                if count == 0 { break }
                buffer.advance(by: count)
                total += buffer.withBytes { bytes in unsafe bytes.withUnsafeBytes { unsafe Array($0) } }
            }
            #expect(total == Bytes.pattern(10_000))
        }
    }

    @Test("appending writes at the end, whoever wrote before, and keeps the pieces whole", arguments: Setting.all)
    func appending(setting: Setting) async throws {
        let scratch = try Scratch()
        try await withLoop(setting) { loop in
            let first = try await File.open(scratch["log"], .appending, on: loop)
            let second = try await File.open(scratch["log"], .appending, on: loop)
            try await withThrowingTaskGroup(of: Void.self) { group in
                for index in 0..<20 {
                    let file = index % 2 == 0 ? first : second
                    group.addTask { try await file.write([UInt8](repeating: UInt8(index), count: 1_000)) }
                }
                try await group.waitForAll()
            }
            let bytes = try #require(scratch.bytes("log"))
            #expect(bytes.count == 20_000)
            for start in stride(from: 0, to: 20_000, by: 1_000) {
                #expect(Set(bytes[start..<start + 1_000]).count == 1)
            }
            let error = try await ioError { try await first.write([1], at: 0) }
            #expect(error.code == .invalidArgument)
        }
    }

    @Test("what becomes of a file that exists, or does not, is what was asked", arguments: File.Mode.Creation.allCases)
    func creation(creation: File.Mode.Creation) async throws {
        let scratch = try Scratch()
        try scratch.file("there", [1, 2, 3])
        for setting in Setting.all {
            try await withLoop(setting) { loop in
                _ = unsafe unlink(scratch["new"])
                let opened = await Result.of {
                    try await withFile(scratch["new"], .writing(creation), on: loop) { _ in }
                }
                switch creation {
                case .existing, .truncating:
                    #expect((opened.error as? IOError)?.code == .noSuchFileOrDirectory)
                    #expect("\(try #require(opened.error))".contains(scratch["new"]))
                default: #expect(scratch.bytes("new") == [])
                }
                try scratch.file("there", [1, 2, 3])
                let again = await Result.of {
                    try await withFile(scratch["there"], .writing(creation), on: loop) { _ in }
                }
                #expect((again.error as? IOError)?.code == (creation == .createNew ? .fileExists : nil))
                let isCut = creation == .truncating || creation == .createOrTruncate
                #expect(scratch.bytes("there") == (isCut ? [] : [1, 2, 3]))
            }
        }
    }

    @Test("offsets beyond 4 GiB reach what they name, and holes cost no disk", arguments: Setting.all)
    func large(setting: Setting) async throws {
        let scratch = try Scratch()
        try await withLoop(setting) { loop in
            try await withFile(scratch["big"], .readingAndWriting(.createNew), on: loop) { file in
                let far: Int64 = 5 << 30
                try await file.write([7, 8, 9], at: far)
                #expect(try await file.read(upTo: 10, at: far) == [7, 8, 9])
                #expect(try await file.read(upTo: 4, at: far - 2) == [0, 0, 7, 8])
                let information = try await file.information()
                #expect(information.size == far + 3)
                #expect(information.allocatedSize < 1 << 20)
                try await file.truncate(to: 6 << 30)
                try await file.seek(to: (6 << 30) - 1)
                #expect(try await file.read() == [0])
                #expect(try await file.read() == nil)
                let error = try await ioError { try await file.write([1, 2], at: .max - 1) }
                #expect(error.code == .fileTooLarge || error.code == .invalidArgument)
            }
        }
    }

    @Test("a file that is cut while it is read ends there", arguments: Setting.all)
    func cut(setting: Setting) async throws {
        let scratch = try Scratch()
        let path = try scratch.file("a", Bytes.pattern(200_000))
        try await withLoop(setting) { loop in
            let file = try await File.open(path, on: loop)
            #expect(try await file.read(upTo: 65_536)?.count == 65_536)
            #expect(unsafe truncate(path, 70_000) == 0)
            var rest = 0
            while let part = try await file.read(upTo: 65_536) { rest += part.count }
            #expect(rest == 70_000 - 65_536)
        }
    }

    @Test("information tells kind, size, permissions and times", arguments: Setting.all)
    func information(setting: Setting) async throws {
        let scratch = try Scratch()
        try scratch.file("a", [1, 2, 3], mode: 0o640)
        try scratch.folder("f")
        try scratch.link("l", to: "a")
        try await withLoop(setting) { loop in
            let file = try await File.information(at: scratch["a"], on: loop)
            #expect(file.kind == .regular && file.size == 3 && file.permissions.rawValue == 0o640)
            #expect(file.linkCount == 1 && file.userID == getuid())
            #expect(abs(file.modified.sinceEpoch / .seconds(1) - Double(time(nil))) < 3_600)
            #expect(try await File.information(at: scratch["f"], on: loop).kind == .folder)
            #expect(try await File.information(at: scratch["l"], on: loop).inode == file.inode)
            #expect(try await File.information(at: scratch["l"], links: .stay, on: loop).kind == .symbolicLink)
            #expect(try await File.exists(at: scratch["l"], on: loop))
            #expect(try await !File.exists(at: scratch["a/b"], on: loop))
        }
    }

    @Test("a path with a zero byte is refused, and never cut off there", arguments: Setting.all)
    func zeroByte(setting: Setting) async throws {
        let scratch = try Scratch()
        try scratch.file("a", [1])
        try await withLoop(setting) { loop in
            let error = try await ioError { _ = try await File.open(scratch["a\0.txt"], on: loop) }
            #expect(error.code == .invalidArgument && "\(error)".contains("zero byte"))
        }
    }

    @Test("a name that is no UTF-8 is opened by its path's bytes", arguments: Setting.all)
    func strangeName(setting: Setting) async throws {
        let scratch = try Scratch()
        let path = try FilePath(scratch.path).appending(#require(FilePath.Component(bytes: [0x78, 0xff, 0xfe])))
        try await withLoop(setting) { loop in
            try await withFile(path, .writing(.createNew), on: loop) { try await $0.write("hello") }
            let found = try await withFile(path, on: loop) { try await $0.read() }
            #expect(found == Array("hello".utf8))
        }
    }

    @Test(
        "a task that reads what is cached for ever does not keep the others from the loop", arguments: Drivers.available
    )
    func fairness(driver: DriverChoice) async throws {
        let scratch = try Scratch()
        let path = try scratch.file("a", Bytes.pattern(4_096))
        try await withLoop(Setting(driver: driver, caller: .onLoop)) { loop in
            let file = try await File.open(path, on: loop)
            let reading = Task(executorPreference: loop) {
                while !Task.isCancelled { _ = try? await file.read(upTo: 100, at: 0) }
            }
            let opening = Task(executorPreference: loop) {
                while !Task.isCancelled { _ = try? await File.readAll(path, on: loop) }
            }
            // sleeps: whether a timer fires beside the busy tasks is the subject
            try await loop.sleep(for: .milliseconds(5))
            for _ in 0..<10 { await Task.yield() }
            reading.cancel()
            opening.cancel()
            _ = await (reading.value, opening.value)
        }
    }

    @Test("outside any loop, opening throws noLoop")
    func noLoop() async throws {
        await #expect(throws: EventLoopError.self) { _ = try await File.open("/dev/null") }
    }
}

extension FilePath.Component {
    init?(bytes: [UInt8]) {
        unsafe self.init(platformString: bytes.map { CChar(bitPattern: $0) } + [0])
    }
}

extension Result where Failure == any Error {
    var error: (any Error)? {
        if case .failure(let error) = self { return error }
        return nil
    }

    static func of(_ body: () async throws -> Success) async -> Self {
        do { return .success(try await body()) } catch { return .failure(error) }
    }
}
