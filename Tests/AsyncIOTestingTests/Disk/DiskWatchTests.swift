import AsyncIO
import AsyncIOLoop
import AsyncIOTestSupport
import AsyncIOTesting
import Glibc
import SystemPackage
import Testing

@Suite("Watching a simulated disk")
struct DiskWatchTests {
    /// Watches a folder and what is below it, does things there, and returns what was told of them.
    private static func events(in base: String) async throws -> [String] {
        try await Folder.makeAll("\(base)/inner")
        let watcher = try await FileWatcher.open(base, depth: .tree)
        var events: [String] = []
        // Every step is seen before the next one.
        func seen(until last: String) async throws {
            let watching = watcher.makeAsyncIterator()
            while let event = try await watching.next() {
                let path = event.path.string.dropFirst(base.utf8.count)
                let text = "\(event.kind) \(path)\(event.isFolder ? "/" : "")"
                if text == last { return events.append(text) }
                // A file of many writes may be told of more often.
                if text != events.last { events.append(text) }
            }
        }
        let file = try await File.open("\(base)/a", .writing(.createNew))
        try await seen(until: "created /a")
        try await file.write("hello")
        try await seen(until: "modified /a")
        try await file.setPermissions(.ownerReadWrite)
        try await seen(until: "attributesChanged /a")
        try await file.close()
        try await seen(until: "written /a")
        try await File.rename("\(base)/a", to: "\(base)/inner/b")
        try await seen(until: "movedHere /inner/b")
        try await Folder.make("\(base)/inner/deep")
        try await seen(until: "created /inner/deep/")
        try await File.replace("\(base)/inner/deep/c", with: [1])
        try await seen(until: "movedHere /inner/deep/c")
        try await Folder.removeTree("\(base)/inner")
        try await seen(until: "removed /inner/")
        watcher.close()
        // That a replacement was written is told of at the last close of it, which may be another process's: one that
        // is just being made has a copy of each descriptor until it runs its program.
        return events.filter { !$0.hasPrefix("written /inner/deep/") }.map { event in
            // A temporary name.
            event.split(separator: "/").map { $0.hasPrefix(".asyncio-") ? "NEW" : String($0) }.joined(separator: "/")
        }
    }

    @Test("tells what a real one tells", arguments: Drivers.available)
    func sameEvents(driver: DriverChoice) async throws {
        let real = try await withLoop(Setting(driver: driver, caller: .onLoop)) { _ in
            try await withTemporaryFolder { try await Self.events(in: $0.string) }
        }
        let simulated = try await Simulation(seed: 1).run { world in
            let host = try world.addHost("a")
            host.disk.userID = getuid()
            return try await host.run { try await Self.events(in: "/tmp/base") }
        }
        #expect(simulated == real)
        #expect(real.count > 15)
    }
}
