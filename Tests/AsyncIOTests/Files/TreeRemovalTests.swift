import AsyncIO
import AsyncIOKernel
import AsyncIOTestSupport
import CAsyncIO
import Glibc
import Synchronization
import SystemPackage
import Testing

@Suite("Removing trees")
struct TreeRemovalTests {
    @Test("removes everything below, and nothing that a link leads to", arguments: Setting.all)
    func tree(setting: Setting) async throws {
        let scratch = try Scratch()
        try scratch.folder("outside")
        try scratch.file("outside/precious", [1])
        for folder in ["t", "t/a", "t/a/b"] { try scratch.folder(folder) }
        for index in 0..<500 { try scratch.file("t/a/b/\(index)") }
        try scratch.link("t/out", to: "../outside")
        try scratch.link("t/a/absolute", to: scratch["outside"])
        #expect(unsafe mkfifo(scratch["t/fifo"], 0o600) == 0)
        try await withLoop(setting) { loop in
            try await Folder.removeTree(scratch["t"], on: loop)
            #expect(scratch.names() == ["outside"])
            #expect(scratch.bytes("outside/precious") == [1])
            #expect(scratch.openDescriptors == 0)
        }
    }

    @Test("a link to a folder, a file, . and .. and / are refused", arguments: Setting.all)
    func refused(setting: Setting) async throws {
        let scratch = try Scratch()
        try scratch.folder("f")
        try scratch.file("f/a", [1])
        try scratch.link("link", to: "f")
        try await withLoop(setting) { loop in
            for name in ["link", "f/a", "link/"] {
                let error = try await ioError { try await Folder.removeTree(scratch[name], on: loop) }
                #expect(error.code == .notDirectory || error.code == .tooManySymbolicLinkLevels)
            }
            for path in [scratch["f/."], scratch["f/.."], "/", "."] {
                let error = try await ioError { try await Folder.removeTree(path, on: loop) }
                #expect(error.code == .invalidArgument)
            }
            let missing = try await ioError { try await Folder.removeTree(scratch["nothing"], on: loop) }
            #expect(missing.code == .noSuchFileOrDirectory)
            #expect(scratch.bytes("f/a") == [1])
        }
    }

    @Test("a tree that is deeper than paths can be long, and than descriptors reach", arguments: Setting.all)
    func deep(setting: Setting) async throws {
        let scratch = try Scratch()
        try await onThread {
            let name = String(repeating: "d", count: 100)
            var folder = unsafe open(scratch.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
            for _ in 0..<100 {
                try SystemCall.call("mkdirat") { unsafe mkdirat(folder, name, 0o755) }
                _ = close(unsafe openat(folder, "file", O_WRONLY | O_CREAT | O_CLOEXEC, 0o644))
                let next = unsafe openat(folder, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
                close(folder)
                folder = next
            }
            close(folder)
        }
        try await withLoop(setting) { loop in
            try await Folder.removeTree(scratch[String(repeating: "d", count: 100)], on: loop)
            #expect(scratch.names() == ["file"])
        }
    }

    @Test("somebody who exchanges folders for links meanwhile leads nowhere", arguments: Setting.all)
    func race(setting: Setting) async throws {
        let scratch = try Scratch()
        try scratch.folder("outside")
        for index in 0..<20 { try scratch.file("outside/\(index)", [1]) }
        try scratch.folder("t")
        try scratch.link("spare", to: "../outside")
        let isOver = Atomic(false)
        let adversary = try SystemThread.start(name: "adversary") { [path = scratch.path] in
            // RENAME_EXCHANGE of renameat2(2): folder and link change places, again and again.
            while !isOver.load(ordering: .relaxed) {
                _ = unsafe casyncio_rename(-100, "\(path)/t/victim", -100, "\(path)/spare", 2)
                // The one who removes needs a processor, too.
                sched_yield()
            }
        }
        try await withLoop(setting) { loop in
            for _ in 0..<60 {
                try? await Folder.make(scratch["t/victim"], on: loop)
                try? await File.writeAll(scratch["t/victim/inner"], [1], on: loop)
                // It may stop at what was exchanged under its hands; the next round goes on.
                try? await Folder.removeTree(scratch["t"], on: loop)
                try? await Folder.make(scratch["t"], on: loop)
            }
        }
        isOver.store(true, ordering: .relaxed)
        adversary.join()
        #expect(scratch.names("outside").count >= 20)
    }
}
