import AsyncIO
import AsyncIOTestSupport
import AsyncIOTesting
import SystemPackage
import Testing

@Suite("A simulated disk")
struct DiskTests {
    @Test("gets the permissions that a direct write asks for, also of a file that is there")
    func directPermissions() async throws {
        let (kept, changed) = try await Simulation(seed: 1).run { world in
            let host = try world.addHost("a")
            try host.disk.write("/a", [1], permissions: 0o600)
            try host.disk.write("/a", [2])
            let kept = try await host.run { try await File.information(at: "/a").permissions.rawValue }
            try host.disk.write("/a", [3], permissions: 0o755)
            return (kept, try await host.run { try await File.information(at: "/a").permissions.rawValue })
        }
        #expect(kept == 0o600 && changed == 0o755)
    }

    /// Runs a body on a host with a disk.
    func onHost<Success: Sendable>(
        seed: UInt64 = 1, _ prepare: @escaping @Sendable (SimulatedDisk) throws -> Void = { _ in },
        _ body: @escaping @Sendable (World, SimulatedHost) async throws -> Success
    ) async throws -> Success {
        try await Simulation(seed: seed).run { world in
            let host = try world.addHost("a")
            try prepare(host.disk)
            return try await host.run { try await body(world, host) }
        }
    }

    @Test("keeps what files and folders are given, under all of their names")
    func files() async throws {
        try await onHost { _, host in
            try await Folder.makeAll("/var/lib/notes")
            try await withFile("/var/lib/notes/a", .readingAndWriting(.createNew)) { file in
                try await file.write("hello")
                try await file.write(Array("J".utf8), at: 0)
                try await #require(file.read(upTo: 100, at: 0) == Array("Jello".utf8))
                try await file.truncate(to: 4)
                try await #require(file.information().size == 4)
            }
            try await File.link("/var/lib/notes/a", at: "/var/b")
            try await File.symbolicLink(to: "lib/notes/a", at: "/var/c")
            try await #require(File.information(at: "/var/c").linkCount == 2)
            try await File.rename("/var/lib/notes/a", to: "/var/d")
            try #require(host.disk.read("/var/d") == Array("Jell".utf8))
            try await #require(!File.exists(at: "/var/lib/notes/a"))
            var names: [String] = []
            for try await entry in Folder.entries(at: "/var") { names.append("\(entry.name) \(entry.kind)") }
            try #require(names.sorted() == ["b regular", "c symbolicLink", "d regular", "lib folder"])
            try await Folder.removeTree("/var")
            try #require(host.disk.files == [])
            try #require(host.disk.used == 0)
        }
    }

    @Test("has files of many gigabytes without the memory, and copies their holes as holes")
    func sparse() async throws {
        try await onHost { _, host in
            try await withFile("/tmp/big", .readingAndWriting(.createNew)) { file in
                try await file.write(Array("end".utf8), at: 5 << 30)
                try await file.write(Array("begin".utf8), at: 0)
            }
            let count = try await File.copy("/tmp/big", to: "/tmp/copy")
            try #require(count == 5 << 30 + 3)
            let copy = try await File.information(at: "/tmp/copy")
            try #require(copy.size == count)
            try #require(copy.allocatedSize == 8192)
            try #require(host.disk.used == 4 * 4096)
            try await withFile("/tmp/copy") { file in
                let end = try await file.read(upTo: 10, at: 5 << 30)
                try #require(end == Array("end".utf8))
            }
        }
    }

    @Test("replaces, makes temporary files and folders, locks and reads lines as a real one")
    func programs() async throws {
        try await onHost { _, host in
            try await File.replace("/tmp/x", with: Array("1\n2\n".utf8))
            try await File.replace("/tmp/x", with: Array("3\n4\n".utf8))
            try #require(host.disk.files == ["/tmp/x"])
            try await #require(File.information(at: "/tmp/x").permissions.rawValue == 0o644)
            let temporary = try await File.temporary()
            try await temporary.write("gone")
            try #require(host.disk.used == 8192)
            try await temporary.close()
            try #require(host.disk.used == 4096)
            try await withTemporaryFolder { folder in
                try await File.replace(folder.appending("y"), with: [1])
                try #require(host.disk.files.count == 2)
            }
            try #require(host.disk.files.count == 1)
            let (one, two) = (
                try await File.open("/tmp/x", .readingAndWriting(.existing)), try await File.open("/tmp/x")
            )
            try await #require(two.tryLock(.shared))
            try await #require(!one.tryLock(.exclusive))
            try await two.close()
            try await #require(one.tryLock(.exclusive))
            try await one.close()
        }
    }
}
