import AsyncIO
import AsyncIOKernel
import AsyncIOLoop
import AsyncIOTestSupport
import Glibc
import SystemPackage
import Testing

@Suite("Folders")
struct FolderTests {
    @Test("the names in a folder are told once each, with what they are", arguments: Setting.all)
    func entries(setting: Setting) async throws {
        let scratch = try Scratch()
        let names = (0..<2_000).map { "a-rather-long-name-of-a-file-\($0)" }
        for name in names { try scratch.file(name) }
        try scratch.folder("folder")
        try scratch.link("link", to: "nowhere")
        try await withLoop(setting) { loop in
            var found: [String: FileKind] = [:]
            for try await entry in Folder.entries(at: scratch.path, on: loop) {
                #expect(found.updateValue(entry.kind, forKey: entry.name) == nil)
                #expect(entry.path.string == scratch[entry.name])
            }
            #expect(found.count == 2_002)
            #expect(found["folder"] == .folder && found["link"] == .symbolicLink && found[names[7]] == .regular)
            let error = try await ioError {
                for try await _ in Folder.entries(at: scratch["missing"], on: loop) {}
            }
            #expect(error.code == .noSuchFileOrDirectory && "\(error)".contains("missing"))
        }
    }

    @Test("making all folders of a path makes those that are missing", arguments: Setting.all)
    func makeAll(setting: Setting) async throws {
        let scratch = try Scratch()
        try scratch.file("file")
        try await withLoop(setting) { loop in
            try await Folder.makeAll(scratch["a/b/c"], on: loop)
            try await Folder.makeAll(scratch["a/b/c"], on: loop)
            try await Folder.makeAll(scratch["a/b/d/"], on: loop)
            #expect(scratch.names("a/b") == ["c", "d"])
            #expect(try await ioError { try await Folder.makeAll(scratch["file"], on: loop) }.code == .fileExists)
            let below = try await ioError { try await Folder.makeAll(scratch["file/x/y"], on: loop) }
            #expect(below.code == .notDirectory)
            #expect(try await ioError { try await Folder.make(scratch["a"], on: loop) }.code == .fileExists)
            #expect(try await ioError { try await Folder.remove(scratch["a"], on: loop) }.code == .directoryNotEmpty)
            try await Folder.remove(scratch["a/b/c"], on: loop)
            #expect(scratch.names("a/b") == ["d"])
        }
    }

    @Test("those above a folder that may not be changed may be changed until it is there", arguments: Setting.all)
    func makeAllReadOnly(setting: Setting) async throws {
        let scratch = try Scratch()
        try await withLoop(setting) { loop in
            try await Folder.makeAll(scratch["a/b/c"], permissions: .ownerRead, on: loop)
            #expect(["a", "a/b", "a/b/c"].map { scratch.mode($0) } == [0o700, 0o700, 0o400])
        }
    }

    @Test(
        "a walk tells what it cannot ask about, and goes on; interrupted, it loses nothing",
        arguments: Drivers.available)
    func walkErrors(driver: DriverChoice) async throws {
        let scratch = try Scratch()
        for name in ["a", "bad", "c"] { try scratch.file(name) }
        let questions = Counter()
        try await withFaults(driver) { call in
            switch call {
            case .list(let folder, let memory):
                // As file systems do that do not say what a name stands for (DT_UNKNOWN of getdents64(2)).
                let count = unsafe SystemCall.list(folder, memory)
                var start = 0
                while start < count {
                    unsafe memory[start + 18] = 0
                    start += Int(unsafe memory.loadUnaligned(fromByteOffset: start + 16, as: UInt16.self))
                }
                return count
            case .status(let path, _, _, _):
                // What is thrown for this is about no file, as a cancellation is.
                if questions.add() % 2 == 1 { return Errno.loopClosed.negated }
                return "\(path)" == "bad" ? Errno.ioError.negated : nil
            default: return nil
            }
        } body: { loop in
            var walk = Folder.walk(scratch.path, on: loop).makeAsyncIterator()
            var (found, interruptions): ([String], Int) = ([], 0)
            while true {
                do {
                    guard let entry = try await walk.next() else { break }
                    let name = entry.path.lastComponent?.string ?? ""
                    found.append(entry.error.map { "\(name) \($0.code == .ioError)" } ?? "\(name) \(entry.kind)")
                } catch is EventLoopError {
                    interruptions += 1
                }
            }
            #expect(found.sorted() == ["a regular", "bad true", "c regular"] && interruptions == 3)
        }
    }

    @Test("many tasks may make the same folders at once", arguments: Setting.all)
    func makeAllTogether(setting: Setting) async throws {
        let scratch = try Scratch()
        try await withLoop(setting) { loop in
            try await withThrowingTaskGroup(of: Void.self) { group in
                for index in 0..<20 {
                    group.addTask { try await Folder.makeAll(scratch["a/b/c/d/\(index % 2)"], on: loop) }
                }
                try await group.waitForAll()
            }
            #expect(scratch.names("a/b/c/d") == ["0", "1"])
        }
    }

    @Test("a walk tells everything once, folders first, and does not follow links", arguments: Setting.all)
    func walk(setting: Setting) async throws {
        let scratch = try Scratch()
        for folder in ["a", "a/b", "a/b/c", "d"] { try scratch.folder(folder) }
        for file in ["1", "a/2", "a/b/3", "a/b/c/4", "d/5"] { try scratch.file(file) }
        // Circles, if they were followed.
        try scratch.link("a/b/up", to: "../..")
        try scratch.link("d/self", to: ".")
        try await withLoop(setting) { loop in
            var paths: [String] = []
            for try await entry in Folder.walk(scratch.path, on: loop) {
                let path = String(entry.path.string.dropFirst(scratch.path.count + 1))
                let above = path.split(separator: "/").dropLast().joined(separator: "/")
                #expect(above.isEmpty || paths.contains(above))
                #expect(entry.depth == path.split(separator: "/").count)
                #expect(entry.error == nil)
                paths.append(path)
            }
            #expect(
                paths.sorted() == [
                    "1", "a", "a/2", "a/b", "a/b/3", "a/b/c", "a/b/c/4", "a/b/up", "d", "d/5", "d/self",
                ])
        }
    }

    @Test("what a walk cannot enter is told, and the rest goes on", arguments: Setting.all)
    func walkErrors(setting: Setting) async throws {
        let scratch = try Scratch()
        for folder in ["a", "a/b", "a/b/c", "d"] { try scratch.folder(folder) }
        try scratch.file("d/5")
        try await withLoop(setting) { loop in
            var failed: [String] = []
            var found: Set<String> = []
            for try await entry in Folder.walk(scratch.path, maximumDepth: 2, on: loop) {
                if let error = entry.error {
                    failed.append(entry.path.string)
                    #expect("\(error)".contains("maximumDepth"))
                } else {
                    found.insert(entry.path.string)
                }
            }
            #expect(failed == [scratch["a/b"]])
            #expect(found == Set(["a", "a/b", "d", "d/5"].map { scratch[$0] }))
        }
    }

    @Test("renaming replaces only if that is said", arguments: Setting.all)
    func rename(setting: Setting) async throws {
        let scratch = try Scratch()
        try scratch.file("a", [1])
        try scratch.file("b", [2])
        try await withLoop(setting) { loop in
            let error = try await ioError { try await File.rename(scratch["a"], to: scratch["b"], on: loop) }
            #expect(error.code == .fileExists)
            #expect(scratch.bytes("b") == [2])
            try await File.rename(scratch["a"], to: scratch["b"], existing: .replace, on: loop)
            #expect(scratch.bytes("b") == [1])
            #expect(scratch.names() == ["b"])
        }
    }

    @Test("links are made, read and removed without touching what they lead to", arguments: Setting.all)
    func links(setting: Setting) async throws {
        let scratch = try Scratch()
        try scratch.file("a", [1])
        try await withLoop(setting) { loop in
            try await File.link(scratch["a"], at: scratch["hard"], on: loop)
            try await File.symbolicLink(to: "a", at: scratch["soft"], on: loop)
            #expect(try await File.readLink(scratch["soft"], on: loop) == "a")
            #expect(try await File.information(at: scratch["a"], on: loop).linkCount == 2)
            #expect(try await ioError { _ = try await File.readLink(scratch["a"], on: loop) }.code == .invalidArgument)
            try await File.remove(scratch["soft"], on: loop)
            try await File.remove(scratch["hard"], on: loop)
            #expect(scratch.names() == ["a"])
            let error = try await ioError { try await File.remove(scratch["soft"], on: loop) }
            #expect(error.code == .noSuchFileOrDirectory)
        }
    }
}
