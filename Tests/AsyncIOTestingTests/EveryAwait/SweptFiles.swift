import AsyncIO
import AsyncIOKernel
import AsyncIOTestSupport
import AsyncIOTesting
import SystemPackage

extension SweptWork {
    private static let bytes = Bytes.pattern(100_000)

    static let filesAndChildren = [
        SweptWork("File: open, write, read, truncate, sync, close") { (_: World, _: SimulatedHost) -> Void in
            ()
        } _: { _ in
            try await withFile("/tmp/file", .readingAndWriting(.createOrTruncate)) { file in
                try await file.write(bytes)
                try await file.truncate(to: 50_000)
                try await file.sync()
                _ = try await file.readRest()
                _ = try await file.read(upTo: 10, at: 5)
                _ = try await file.tryLock(.exclusive)
            }
        },

        SweptWork("File.replace leaves the old content or the new one, and no other file") {
            (_: World, host: SimulatedHost) -> SimulatedHost in
            try host.disk.write("/tmp/file", Array("old".utf8))
            return host
        } _: { _ in
            try await File.replace("/tmp/file", with: bytes)
        } then: { host in
            let content = try host.disk.read("/tmp/file")
            try expect(content == Array("old".utf8) || content == bytes, "\(content.count) bytes")
            try expect(host.disk.files == ["/tmp/file"], "\(host.disk.files)")
        },

        SweptWork("File.copy, rename, remove, lines") { (_: World, host: SimulatedHost) -> Void in
            try host.disk.write("/tmp/file", Array("one\ntwo\n".utf8))
            return ()
        } _: { _ in
            _ = try await File.copy("/tmp/file", to: "/tmp/copy", existing: .replace)
            for try await _ in File.lines(of: "/tmp/copy") {}
            try await File.rename("/tmp/copy", to: "/tmp/other")
            try await File.remove("/tmp/other")
            _ = try await File.readAll("/tmp/file")
        },

        SweptWork("Folder: makeAll, entries, walk, removeTree") { (_: World, host: SimulatedHost) -> Void in
            try host.disk.write("/tmp/tree/a/b", [1])
            try host.disk.write("/tmp/tree/c", [1])
            return ()
        } _: { _ in
            try await Folder.makeAll("/tmp/tree/d/e")
            for try await _ in Folder.entries(at: "/tmp/tree") {}
            for try await _ in Folder.walk("/tmp/tree") {}
            try await Folder.removeTree("/tmp/tree")
        },

        SweptWork("withTemporaryFolder removes it") { (_: World, host: SimulatedHost) -> SimulatedHost in
            host
        } _: { _ in
            try await withTemporaryFolder { folder in
                try await File.writeAll(folder.appending("file"), bytes)
                await EventLoop.yield()
            }
        } then: { host in
            try expect(host.disk.files.isEmpty, "\(host.disk.files)")
        },

        SweptWork("Process.run ends its child") { (world: World, host: SimulatedHost) -> (Counter, World) in
            let living = Counter()
            try host.install("/bin/cat") { child in
                living.add()
                defer { living.add(-1) }
                while let bytes = try await child.input.read(upTo: 4_096) {
                    try await child.output.write(bytes)
                    try await world.sleep(for: .milliseconds(1))
                }
                return 0
            }
            return (living, world)
        } _: { _, _ in
            _ = try await Process.run("cat", input: .bytes(bytes))
        } then: { living, world in
            try await world.sleep(for: .seconds(1))
            try expect(living.value == 0, "\(living.value) children live")
        },

        SweptWork("Process.spawn, wait, terminate") { (world: World, host: SimulatedHost) -> Void in
            try host.install("/bin/sleep") { child in
                child.ignore(.terminate)
                try await world.sleep(for: .seconds(100))
                return 0
            }
            return ()
        } _: { _ in
            try await Process.spawn(Command("sleep"), input: .null, output: .null, error: .null) { process in
                _ = try await process.terminate(Termination(grace: .seconds(1)))
            }
        },

        SweptWork("Signals.next") { (world: World, host: SimulatedHost) -> Void in
            try host.spawn {
                for _ in 0..<5 {
                    try await world.sleep(for: .seconds(1))
                    host.raise(.user1)
                }
            }
            return ()
        } _: { _ in
            let signals = try Signals(.user1)
            defer { signals.close() }
            _ = try await signals.next()
            _ = try await signals.next()
        },
    ]
}
