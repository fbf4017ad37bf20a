import AsyncIO
import AsyncIOKernel
import AsyncIOLoop
import AsyncIOTestSupport
import CAsyncIO
import Glibc
import SystemPackage
import Testing

@Suite("Watching files")
struct FileWatcherTests {
    @Test("tells what happens in a folder, in order, by name", arguments: Setting.all)
    func folder(setting: Setting) async throws {
        let scratch = try Scratch()
        try await withLoop(setting) { loop in
            let watcher = try await FileWatcher.open(scratch.path, on: loop)
            let events = watcher.makeAsyncIterator()
            try scratch.file("a", [1, 2, 3])
            try await expect(events, .created, scratch["a"])
            try await expect(events, .modified, scratch["a"])
            try await expect(events, .written, scratch["a"])
            #expect(unsafe rename(scratch["a"], scratch["b"]) == 0)
            let away = try await expect(events, .movedAway, scratch["a"])
            let here = try await expect(events, .movedHere, scratch["b"])
            #expect(away.moveID == here.moveID && here.moveID != 0)
            #expect(unsafe chmod(scratch["b"], 0o600) == 0)
            try await expect(events, .attributesChanged, scratch["b"])
            #expect(unsafe unlink(scratch["b"]) == 0)
            try await expect(events, .removed, scratch["b"])
            try scratch.folder("f")
            #expect(try await expect(events, .created, scratch["f"]).isFolder)
        }
    }

    @Test("ends when the watched path is removed, and when it is closed", arguments: Setting.all)
    func ends(setting: Setting) async throws {
        let scratch = try Scratch()
        try scratch.folder("f")
        try await withLoop(setting) { loop in
            let watcher = try await FileWatcher.open(scratch["f"], on: loop)
            #expect(unsafe rmdir(scratch["f"]) == 0)
            var kinds: [FileEvent.Kind] = []
            for try await event in watcher { kinds.append(event.kind) }
            #expect(kinds == [.removed])

            let other = try await FileWatcher.open(scratch.path, on: loop)
            let waiting = Task(executorPreference: loop) { try await other.makeAsyncIterator().next() }
            await until { await loop.statistics.waitingOperations > 0 }
            other.close()
            #expect(try await waiting.value == nil)
            #expect(try await other.makeAsyncIterator().next() == nil)
            let missing = try await ioError { _ = try await FileWatcher.open(scratch["f"], on: loop) }
            #expect(missing.code == .noSuchFileOrDirectory)
        }
    }

    @Test("a watcher that is closed watches nothing any more, although it is still there", arguments: Setting.all)
    func closedInstance(setting: Setting) async throws {
        let scratch = try Scratch()
        var status = stat()
        #expect(unsafe lstat(scratch.path, &status) == 0)
        let inode = " ino:\(String(status.st_ino, radix: 16)) "
        // proc(5): the watches of an inotify descriptor.
        @Sendable func isWatched() -> Bool {
            (0..<4_096).contains { number in
                let file = unsafe open("/proc/self/fdinfo/\(number)", O_RDONLY | O_CLOEXEC)
                guard file >= 0 else { return false }
                let descriptor = Descriptor(owning: file)
                let bytes = (try? SystemCall.bytes(of: descriptor.number, count: 4_096)) ?? []
                return String(decoding: bytes, as: UTF8.self).contains(inode)
            }
        }
        try await withLoop(setting) { loop in
            let watcher = try await FileWatcher.open(scratch.path, depth: .tree, on: loop)
            #expect(isWatched())
            watcher.close()
            await until { !isWatched() }
            #expect(try await watcher.makeAsyncIterator().next() == nil)
        }
    }

    @Test("a wait that is cancelled loses no event", arguments: Setting.all)
    func cancelled(setting: Setting) async throws {
        let scratch = try Scratch()
        try await withLoop(setting) { loop in
            let watcher = try await FileWatcher.open(scratch.path, on: loop)
            let waiting = Task(executorPreference: loop) { try await watcher.makeAsyncIterator().next() }
            await until { await loop.statistics.waitingOperations > 0 }
            waiting.cancel()
            await #expect(throws: CancellationError.self) { _ = try await waiting.value }
            try scratch.folder("f")
            try await expect(watcher.makeAsyncIterator(), .created, scratch["f"])
        }
    }

    @Test("a tree is watched as it grows, moves and shrinks", arguments: Setting.all)
    func tree(setting: Setting) async throws {
        let scratch = try Scratch()
        try scratch.folder("watched")
        try scratch.folder("watched/a")
        try scratch.folder("outside")
        try await withLoop(setting) { loop in
            let watcher = try await FileWatcher.open(scratch["watched"], depth: .tree, on: loop)
            let events = watcher.makeAsyncIterator()
            try scratch.file("watched/a/1")
            try await wait(events, .created, scratch["watched/a/1"])
            try scratch.folder("watched/b")
            try scratch.folder("watched/b/c")
            try scratch.file("watched/b/c/2")
            try await wait(events, .created, scratch["watched/b/c/2"])
            // Moved within the tree: the new path is told.
            #expect(unsafe rename(scratch["watched/b"], scratch["watched/a/b"]) == 0)
            try await wait(events, .movedHere, scratch["watched/a/b"])
            try scratch.file("watched/a/b/c/3")
            try await wait(events, .created, scratch["watched/a/b/c/3"])
            // Moved out of it: nobody's business.
            #expect(unsafe rename(scratch["watched/a/b"], scratch["outside/b"]) == 0)
            try await wait(events, .movedAway, scratch["watched/a/b"])
            try scratch.file("outside/b/c/4")
            try scratch.file("watched/5")
            while let event = try await events.next() {
                #expect(!event.path.string.hasSuffix("/4"))
                if event.path.string == scratch["watched/5"] { break }
            }
        }
    }

    @Test(
        "a folder of a tree that is moved is told by its new name at once, and forgotten outside",
        arguments: Setting.all)
    func moves(setting: Setting) async throws {
        let scratch = try Scratch()
        for name in ["watched", "watched/a", "watched/a/c", "outside", "outside/d"] { try scratch.folder(name) }
        try scratch.file("outside/d/old")
        try await withLoop(setting) { loop in
            let watcher = try await FileWatcher.open(scratch["watched"], depth: .tree, on: loop)
            let events = watcher.makeAsyncIterator()
            // All of it before anybody has heard of the move.
            #expect(unsafe rename(scratch["watched/a"], scratch["watched/b"]) == 0)
            try scratch.file("watched/b/1")
            try scratch.file("watched/b/c/2")
            #expect(unsafe rename(scratch["watched/b"], scratch["outside/b"]) == 0)
            try scratch.file("outside/b/c/3")
            #expect(unsafe rename(scratch["outside/d"], scratch["watched/d"]) == 0)
            try scratch.file("watched/end")
            var created: [String] = []
            while created.last != scratch["watched/end"], let event = try await events.next() {
                if event.kind == .created { created.append(event.path.string) }
            }
            #expect(created == ["b/1", "b/c/2", "d/old", "end"].map { scratch["watched/\($0)"] })
        }
    }

    @Test("two folders of a tree that are exchanged are told by their new names", arguments: Setting.all)
    func exchange(setting: Setting) async throws {
        let scratch = try Scratch()
        let folders = ["watched", "watched/a", "watched/a/x", "watched/b", "watched/b/y", "outside", "outside/z"]
        for name in folders { try scratch.folder(name) }
        // RENAME_EXCHANGE of renameat2(2).
        @Sendable func exchange(_ one: String, _ other: String) {
            #expect(unsafe casyncio_rename(AT_FDCWD, scratch[one], AT_FDCWD, scratch[other], 2) == 0)
        }
        try await withLoop(setting) { loop in
            let watcher = try await FileWatcher.open(scratch["watched"], depth: .tree, on: loop)
            let events = watcher.makeAsyncIterator()
            exchange("watched/a", "watched/b")
            try scratch.folder("watched/1")
            try await wait(events, .created, scratch["watched/1"])
            try scratch.file("watched/a/y/2")
            try await wait(events, .created, scratch["watched/a/y/2"])
            try scratch.file("watched/b/x/3")
            try await wait(events, .created, scratch["watched/b/x/3"])
            // With one outside: what has left is nobody's business, what has come is watched.
            exchange("watched/a", "outside")
            try scratch.folder("watched/4")
            try await wait(events, .created, scratch["watched/4"])
            try scratch.file("outside/y/5")
            try scratch.file("watched/a/z/6")
            while let event = try await events.next() {
                #expect(event.path.string != scratch["watched/a/y/5"])
                if event.path.string == scratch["watched/a/z/6"] { break }
            }
            // One that takes the place of an empty one.
            try scratch.folder("watched/4/deep")
            try await wait(events, .created, scratch["watched/4/deep"])
            #expect(unsafe rename(scratch["watched/4"], scratch["watched/1"]) == 0)
            try await wait(events, .movedHere, scratch["watched/1"])
            try scratch.file("watched/1/deep/7")
            try await wait(events, .created, scratch["watched/1/deep/7"])
        }
    }

    @Test("a name is watched whatever has it, and nothing else", arguments: Setting.all)
    func name(setting: Setting) async throws {
        let scratch = try Scratch()
        try scratch.folder("f")
        try await withLoop(setting) { loop in
            let watcher = try await Folder.watch(scratch["f"], name: "a", on: loop)
            #expect("\(watcher)" == "FileWatcher(\(scratch["f/a"]))")
            let events = watcher.makeAsyncIterator()
            try scratch.file("f/b", [1])
            try scratch.file("f/a", [1])
            try await expect(events, .created, scratch["f/a"])
            try await expect(events, .modified, scratch["f/a"])
            try await expect(events, .written, scratch["f/a"])
            // As editors do it: the new file is another one.
            #expect(unsafe rename(scratch["f/b"], scratch["f/a"]) == 0)
            try await expect(events, .movedHere, scratch["f/a"])
            #expect(unsafe chmod(scratch["f"], 0o711) == 0)
            #expect(unsafe unlink(scratch["f/a"]) == 0)
            try await expect(events, .removed, scratch["f/a"])
            #expect(unsafe rmdir(scratch["f"]) == 0)
            try await expect(events, .removed, scratch["f"])
            #expect(try await events.next() == nil)

            try scratch.file("g")
            let file = try await ioError { _ = try await Folder.watch(scratch["g"], name: "a", on: loop) }
            #expect(file.code == .notDirectory)
            for name in ["", ".", "..", "a/b", "/", "a\0"] {
                let error = try await ioError { _ = try await Folder.watch(scratch.path, name: name, on: loop) }
                #expect(error.code == .invalidArgument)
            }
            #expect(scratch.openDescriptors == 0)
        }
    }

    @Test("a wait that is cancelled while a new folder is looked through loses no event", arguments: Drivers.available)
    func cancelledInside(driver: DriverChoice) async throws {
        let scratch = try Scratch()
        let refusals = Counter()
        try await withFaults(driver) { call in
            guard case .list = call, refusals.add() <= 1 else { return nil }
            unsafe withUnsafeCurrentTask { unsafe $0?.cancel() }
            return Errno.canceled.negated
        } body: { loop in
            refusals.add()
            let watcher = try await FileWatcher.open(scratch.path, depth: .tree, on: loop)
            refusals.add(-refusals.value)
            try scratch.folder("f")
            try scratch.file("f/1")
            let waiting = Task(executorPreference: loop) { try await watcher.makeAsyncIterator().next() }
            await #expect(throws: CancellationError.self) { _ = try await waiting.value }
            let events = watcher.makeAsyncIterator()
            try await expect(events, .created, scratch["f"])
            try await expect(events, .created, scratch["f/1"])
        }
    }

    @Test("a tree whose events were too many is watched as it is afterwards", arguments: Setting.all)
    func overflow(setting: Setting) async throws {
        let scratch = try Scratch()
        try scratch.folder("gone")
        try await withLoop(setting) { loop in
            let limit = try await File.readAll("/proc/sys/fs/inotify/max_queued_events", on: loop)
            let count = Int(String(decoding: limit.dropLast(), as: UTF8.self)) ?? 16_384
            guard count <= 1 << 17 else { return }
            let watcher = try await FileWatcher.open(scratch.path, depth: .tree, on: loop)
            try await onThread {
                for index in 0...count { #expect(unsafe chmod(scratch[index % 2 == 0 ? "gone" : "."], 0o755) == 0) }
                #expect(unsafe rmdir(scratch["gone"]) == 0)
                try scratch.folder("new")
            }
            let events = watcher.makeAsyncIterator()
            try await wait(events, .overflow, scratch.path)
            try scratch.file("new/1")
            try await wait(events, .created, scratch["new/1"])
        }
    }

    @discardableResult
    private func expect(
        _ events: FileWatcher.AsyncIterator, _ kind: FileEvent.Kind, _ path: String,
        at location: SourceLocation = #_sourceLocation
    ) async throws -> FileEvent {
        let event = try #require(try await events.next(), sourceLocation: location)
        #expect(event.kind == kind && event.path.string == path, sourceLocation: location)
        return event
    }

    /// Takes events up to one of this kind at this path.
    private func wait(
        _ events: FileWatcher.AsyncIterator, _ kind: FileEvent.Kind, _ path: String
    ) async throws {
        while let event = try await events.next() {
            if event.path.string == path && event.kind == kind { return }
        }
        Issue.record("the sequence ended before \(kind) \(path)")
    }
}
