import AsyncIO
import AsyncIOTestSupport
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
