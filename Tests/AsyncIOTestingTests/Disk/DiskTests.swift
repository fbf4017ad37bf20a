import AsyncIO
import AsyncIOTestSupport
import AsyncIOTesting
import SystemPackage
import Testing

@Suite("A simulated disk")
struct DiskTests {
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
                #expect(try await file.read(upTo: 100, at: 0) == Array("Jello".utf8))
                try await file.truncate(to: 4)
                #expect(try await file.information().size == 4)
            }
            try await File.link("/var/lib/notes/a", at: "/var/b")
            try await File.symbolicLink(to: "lib/notes/a", at: "/var/c")
            #expect(try await File.information(at: "/var/c").linkCount == 2)
            try await File.rename("/var/lib/notes/a", to: "/var/d")
            #expect(try host.disk.read("/var/d") == Array("Jell".utf8))
            #expect(try await !File.exists(at: "/var/lib/notes/a"))
            var names: [String] = []
            for try await entry in Folder.entries(at: "/var") { names.append("\(entry.name) \(entry.kind)") }
            #expect(names.sorted() == ["b regular", "c symbolicLink", "d regular", "lib folder"])
            try await Folder.removeTree("/var")
            #expect(host.disk.files == [])
            #expect(host.disk.used == 0)
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
            #expect(count == 5 << 30 + 3)
            let copy = try await File.information(at: "/tmp/copy")
            #expect(copy.size == count)
            #expect(copy.allocatedSize == 8192)
            #expect(host.disk.used == 4 * 4096)
            try await withFile("/tmp/copy") { file in
                #expect(try await file.read(upTo: 10, at: 5 << 30) == Array("end".utf8))
            }
        }
    }

    @Test("replaces, makes temporary files and folders, locks and reads lines as a real one")
    func programs() async throws {
        try await onHost { _, host in
            try await File.replace("/tmp/x", with: Array("1\n2\n".utf8))
            try await File.replace("/tmp/x", with: Array("3\n4\n".utf8))
            #expect(host.disk.files == ["/tmp/x"])
            #expect(try await File.information(at: "/tmp/x").permissions.rawValue == 0o644)
            let temporary = try await File.temporary()
            try await temporary.write("gone")
            #expect(host.disk.used == 8192)
            try await temporary.close()
            #expect(host.disk.used == 4096)
            try await withTemporaryFolder { folder in
                try await File.replace(folder.appending("y"), with: [1])
                #expect(host.disk.files.count == 2)
            }
            #expect(host.disk.files.count == 1)
            let (one, two) = (
                try await File.open("/tmp/x", .readingAndWriting(.existing)), try await File.open("/tmp/x")
            )
            #expect(try await two.tryLock(.shared))
            #expect(try await !one.tryLock(.exclusive))
            try await two.close()
            #expect(try await one.tryLock(.exclusive))
            try await one.close()
        }
    }
}
