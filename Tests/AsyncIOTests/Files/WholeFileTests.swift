import AsyncIO
import AsyncIOKernel
import AsyncIOLoop
import AsyncIOTestSupport
import Glibc
import SystemPackage
import Testing

@Suite("Whole files")
struct WholeFileTests {
    @Test("are read, whatever their size, up to the limit", arguments: Setting.all)
    func readAll(setting: Setting) async throws {
        let scratch = try Scratch()
        try await withLoop(setting) { loop in
            for count in [0, 1, 4_096, 131_072, 131_073, 3_000_000] {
                try scratch.file("a", Bytes.pattern(count))
                #expect(try await File.readAll(scratch["a"], on: loop) == Bytes.pattern(count))
                #expect(try await File.readAll(scratch["a"], limit: count, on: loop).count == count)
                if count == 0 { continue }
                let error = try await ioError { _ = try await File.readAll(scratch["a"], limit: count - 1, on: loop) }
                #expect(error.code == .fileTooLarge && "\(error)".contains("raise the limit"))
            }
            #expect(scratch.openDescriptors == 0)
        }
    }

    @Test("are read when the disk has to be asked, too", arguments: Setting.all)
    func uncached(setting: Setting) async throws {
        let scratch = try Scratch()
        let bytes = Bytes.pattern(1_000_000)
        try scratch.file("a", bytes)
        try await withLoop(setting) { loop in
            let file = try await File.open(scratch["a"], .readingAndWriting(.existing), on: loop)
            try await file.sync()
            // POSIX_FADV_DONTNEED: out of the page cache.
            let dropped = try await file.withDescriptor { posix_fadvise($0, 0, 0, 4) }
            #expect(dropped == 0)
            #expect(try await file.readRest() == bytes)
        }
    }

    @Test("are refused by their limit when they are as long as a file can be", arguments: Setting.all)
    func longest(setting: Setting) async throws {
        // Other file systems than this one in memory have lower limits.
        let scratch = try Scratch(in: "/dev/shm")
        try await withLoop(setting) { loop in
            let file = try await File.open(scratch["a"], .readingAndWriting(.createNew), on: loop)
            try await file.truncate(to: .max)
            for limit in [-1, 0, 100_000] {
                let error = try await ioError { _ = try await file.readRest(limit: limit) }
                #expect(error.code == .fileTooLarge)
            }
        }
    }

    @Test("are written and replaced as texts", arguments: Setting.all)
    func texts(setting: Setting) async throws {
        let scratch = try Scratch()
        try await withLoop(setting) { loop in
            try await File.writeAll(scratch["a"], "grüße\n", on: loop)
            #expect(scratch.bytes("a") == Array("grüße\n".utf8))
            try await File.replace(scratch["a"], with: "\u{1f40c}", permissions: [.ownerReadWrite], on: loop)
            #expect(scratch.bytes("a") == [0xf0, 0x9f, 0x90, 0x8c])
            try await File.writeAll(scratch["a"], "", on: loop)
            #expect(scratch.bytes("a") == [])
        }
    }

    @Test("are written over what was there", arguments: Setting.all)
    func writeAll(setting: Setting) async throws {
        let scratch = try Scratch()
        try scratch.file("a", Bytes.pattern(5_000, seed: 2))
        try await withLoop(setting) { loop in
            try await File.writeAll(scratch["a"], Bytes.pattern(300), on: loop)
            #expect(scratch.bytes("a") == Bytes.pattern(300))
        }
    }

    @Test("are replaced at once, with the permissions that were there", arguments: Setting.all)
    func replace(setting: Setting) async throws {
        let scratch = try Scratch()
        try scratch.file("a", [1, 2, 3], mode: 0o640)
        try await withLoop(setting) { loop in
            let reader = try await File.open(scratch["a"], on: loop)
            try await File.replace(scratch["a"], with: [4, 5], on: loop)
            #expect(scratch.bytes("a") == [4, 5])
            #expect(scratch.mode("a") == 0o640)
            // Whoever had it open keeps the old one.
            #expect(try await reader.read() == [1, 2, 3])
            try await File.replace(scratch["new"], with: [6], on: loop)
            #expect(scratch.bytes("new") == [6])
            let mask = umask(0)
            umask(mask)
            #expect(scratch.mode("new") == 0o666 & ~mask)
            #expect(scratch.names() == ["a", "new"])
        }
    }

    @Test("stay as they were if the replacement fails, and nothing is left of it", arguments: Setting.all)
    func failedReplacement(setting: Setting) async throws {
        struct Refusal: Error {}
        let scratch = try Scratch()
        try scratch.file("a", [1, 2, 3])
        try await withLoop(setting) { loop in
            await #expect(throws: Refusal.self) {
                try await File.replace(scratch["a"], on: loop) { file in
                    try await file.write([9, 9, 9, 9])
                    throw Refusal()
                }
            }
            let cancelled = Task(executorPreference: loop) {
                try await File.replace(scratch["a"], on: loop) { file in
                    try await file.write([9, 9, 9, 9])
                    unsafe withUnsafeCurrentTask { unsafe $0?.cancel() }
                }
            }
            await #expect(throws: CancellationError.self) { try await cancelled.value }
            #expect(scratch.bytes("a") == [1, 2, 3])
            #expect(scratch.names() == ["a"])
        }
    }

    @Test("are not replaced where the system does not say who may read the old one", arguments: Drivers.available)
    func replaceUnknown(driver: DriverChoice) async throws {
        let scratch = try Scratch()
        try scratch.file("a", [1, 2, 3], mode: 0o600)
        try await withFaults(driver) { call in
            if case .status(let path, _, _, _) = call, !path.isEmpty { Errno.ioError.negated } else { nil }
        } body: { loop in
            let error = try await ioError { try await File.replace(scratch["a"], with: [4], on: loop) }
            #expect(error.code == .ioError)
            #expect(scratch.bytes("a") == [1, 2, 3] && scratch.mode("a") == 0o600 && scratch.names() == ["a"])
        }
    }

    @Test("of others do not act for us when we replace them", .enabled(if: geteuid() == 0), arguments: Setting.all)
    func replaceForeign(setting: Setting) async throws {
        let scratch = try Scratch()
        try scratch.file("a", [1])
        try scratch.file("b", [1])
        #expect(unsafe chown(scratch["a"], 12_345, getegid()) == 0)
        for name in ["a", "b"] { #expect(unsafe chmod(scratch[name], 0o4750) == 0) }
        try await withLoop(setting) { loop in
            for name in ["a", "b"] { try await File.replace(scratch[name], with: [2], on: loop) }
            #expect(scratch.mode("a") == 0o750 && scratch.mode("b") == 0o4750)
        }
    }

    @Test("that are replaced when the cancellation comes are replaced, and say so", arguments: Drivers.available)
    func replaceCancelledLate(driver: DriverChoice) async throws {
        let scratch = try Scratch()
        try scratch.file("a", [1, 2, 3])
        let renames = Gate()
        try await withFaults(driver) { call in
            if case .rename = call { renames.open() }
            return nil
        } body: { loop in
            let replacing = Task(executorPreference: loop) { try await File.replace(scratch["a"], with: [4], on: loop) }
            await renames.pass()
            replacing.cancel()
            try await replacing.value
            #expect(scratch.bytes("a") == [4] && scratch.names() == ["a"])
        }
    }

    @Test("are not replaced by what did not reach the disk", arguments: Drivers.available)
    func unsynced(driver: DriverChoice) async throws {
        let scratch = try Scratch()
        try scratch.file("a", [1, 2, 3])
        try await withFaults(driver) { call in
            if case .sync = call { Errno.ioError.negated } else { nil }
        } body: { loop in
            let error = try await ioError { try await File.replace(scratch["a"], with: [4], on: loop) }
            #expect(error.code == .ioError && error.operation == "sync")
            #expect(scratch.bytes("a") == [1, 2, 3])
            #expect(scratch.names() == ["a"])
        }
    }

    @Test("are copied with their permissions and holes, and never over others unasked", arguments: Setting.all)
    func copy(setting: Setting) async throws {
        let scratch = try Scratch()
        try scratch.file("a", Bytes.pattern(2_500_000), mode: 0o750)
        try scratch.file("there", [1])
        try await withLoop(setting) { loop in
            #expect(try await File.copy(scratch["a"], to: scratch["b"], on: loop) == 2_500_000)
            #expect(scratch.bytes("b") == Bytes.pattern(2_500_000))
            #expect(scratch.mode("b") == 0o750)
            let error = try await ioError { try await File.copy(scratch["a"], to: scratch["there"], on: loop) }
            #expect(error.code == .fileExists && scratch.bytes("there") == [1])
            try await File.copy(scratch["a"], to: scratch["there"], existing: .replace, on: loop)
            #expect(scratch.bytes("there")?.count == 2_500_000)

            let sparse = try await File.open(scratch["sparse"], .readingAndWriting(.createNew), on: loop)
            try await sparse.write([1, 2, 3], at: 1 << 30)
            try await sparse.truncate(to: 5 << 30)
            #expect(try await File.copy(scratch["sparse"], to: scratch["copy"], on: loop) == 5 << 30)
            let copy = try await File.open(scratch["copy"], on: loop)
            let information = try await copy.information()
            #expect(information.size == 5 << 30 && information.allocatedSize < 1 << 20)
            #expect(try await copy.read(upTo: 5, at: (1 << 30) - 1) == [0, 1, 2, 3, 0])
            #expect(scratch.names() == ["a", "b", "copy", "sparse", "there"])
        }
    }

    @Test("are copied by reading where the kernel does not copy", arguments: Drivers.available)
    func copyByReading(driver: DriverChoice) async throws {
        let scratch = try Scratch()
        try scratch.file("a", Bytes.pattern(2_500_000))
        try await withFaults(driver) { call in
            switch call {
            case .clone: Errno.notSupported.negated
            case .copyRange: Errno.improperLink.negated
            default: nil
            }
        } body: { loop in
            let copied = try await File.copy(scratch["a"], to: scratch["b"], on: loop)
            #expect(copied == 2_500_000 && scratch.bytes("b") == Bytes.pattern(2_500_000))
            // Says that it is empty, and is not.
            #expect(try await File.copy("/proc/self/status", to: scratch["status"], on: loop) > 100)
            #expect(scratch.bytes("status")?.starts(with: "Name:".utf8) == true)
        }
    }

    @Test(
        "that grow while they are copied come as they were at some moment", arguments: Drivers.available, [true, false])
    func copyGrowing(driver: DriverChoice, kernelCopies: Bool) async throws {
        let scratch = try Scratch()
        let bytes = Bytes.pattern(100_000).map { $0 | 1 }
        try scratch.file("a", Array(bytes.prefix(90_000)))
        let source = Descriptor(
            owning: CInt(try SystemCall.call("open", "a") { unsafe open(scratch["a"], O_WRONLY | O_APPEND) }))
        let number = source.number
        let growths = Counter()
        try await withFaults(driver) { call in
            switch call {
            case .clone: return Errno.notSupported.negated
            case .copyRange where !kernelCopies: return Errno.improperLink.negated
            case .status:
                // Grows each time before somebody asks how long it is.
                let count = growths.add()
                if count <= 10 {
                    try? SystemCall.writeAll(Array(bytes.dropFirst(89_000 + 1_000 * count).prefix(1_000)), to: number)
                }
                return nil
            default: return nil
            }
        } body: { loop in
            let copied = try await File.copy(scratch["a"], to: scratch["b"], on: loop)
            let copy = scratch.bytes("b") ?? []
            #expect(copied > 90_000 && copy.count == copied && copy == Array(bytes.prefix(copy.count)))
        }
        _ = source.number
    }

    @Test("never replace others unasked, also where a file system cannot rename so", arguments: Drivers.available)
    func renameWithoutFlag(driver: DriverChoice) async throws {
        let scratch = try Scratch()
        for name in ["a", "there"] { try scratch.file(name, Array(name.utf8)) }
        try scratch.folder("f")
        try scratch.link("l", to: "nowhere")
        try await withFaults(driver) { call in
            if case .rename(_, _, _, _, replaces: false) = call { Errno.invalidArgument.negated } else { nil }
        } body: { loop in
            try await File.rename(scratch["a"], to: scratch["b"], on: loop)
            try await File.rename(scratch["l"], to: scratch["m"], on: loop)
            let error = try await ioError { try await File.rename(scratch["b"], to: scratch["there"], on: loop) }
            #expect(error.code == .fileExists && scratch.bytes("there") == Array("there".utf8))
            let folder = try await ioError { try await File.rename(scratch["f"], to: scratch["g"], on: loop) }
            #expect(folder.code == .invalidArgument && "\(folder)".contains("without replacing"))
            #expect(try await File.copy(scratch["b"], to: scratch["c"], on: loop) == 1)
            #expect(scratch.names() == ["b", "c", "f", "m", "there"] && scratch.bytes("b") == Array("a".utf8))
        }
    }

    @Test("that are a folder or a FIFO are not copied", arguments: Setting.all)
    func copyOthers(setting: Setting) async throws {
        let scratch = try Scratch()
        #expect(unsafe mkfifo(scratch["fifo"], 0o600) == 0)
        try await withLoop(setting) { loop in
            let fifo = try await ioError { try await File.copy(scratch["fifo"], to: scratch["b"], on: loop) }
            #expect(fifo.code == .invalidArgument)
            let folder = try await ioError { try await File.copy(scratch.path, to: scratch["b"], on: loop) }
            #expect(folder.code == .isDirectory)
            #expect(scratch.names() == ["fifo"])
        }
    }

    @Test("that are temporary have no name, and temporary folders go with all that is in them", arguments: Setting.all)
    func temporary(setting: Setting) async throws {
        let scratch = try Scratch()
        try await withLoop(setting) { loop in
            let file = try await File.temporary(in: scratch.path, on: loop)
            try await file.write([1, 2, 3])
            #expect(try await file.read(upTo: 9, at: 0) == [1, 2, 3])
            #expect(scratch.names().isEmpty)
            let path = try await withTemporaryFolder(in: scratch.path, on: loop) { folder in
                try await Folder.makeAll(folder.appending("a/b"), on: loop)
                try await File.writeAll(folder.appending("a/b/c"), [1], on: loop)
                #expect(try await File.information(at: folder, on: loop).permissions == .ownerReadWriteExecute)
                return folder
            }
            #expect(path.string.hasPrefix(scratch.path) && scratch.names().isEmpty)
            let cancelled = Task(executorPreference: loop) {
                try await withTemporaryFolder(in: scratch.path, on: loop) { folder in
                    try await File.writeAll(folder.appending("a"), [1], on: loop)
                    unsafe withUnsafeCurrentTask { unsafe $0?.cancel() }
                    try Task.checkCancellation()
                }
            }
            await #expect(throws: CancellationError.self) { try await cancelled.value }
            #expect(scratch.names().isEmpty)
        }
    }
}
