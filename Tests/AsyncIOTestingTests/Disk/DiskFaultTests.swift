import AsyncIO
import AsyncIOKernel
import AsyncIOTestSupport
import AsyncIOTesting
import SystemPackage
import Testing

@Suite("A faulty simulated disk")
struct DiskFaultTests {
    private func onHost<Success: Sendable>(
        seed: UInt64 = 1, _ body: @escaping @Sendable (SimulatedHost) async throws -> Success
    ) async throws -> Success {
        try await Simulation(seed: seed).run { world in
            let host = try world.addHost("a")
            return try await host.run { try await body(host) }
        }
    }

    @Test("that is full takes what fits, and says so")
    func full() async throws {
        let (code, content, used) = try await onHost { host in
            host.disk.capacity = 5 * 4096
            try host.disk.write("/before", [1])
            let file = try await File.open("/log", .writing(.createNew))
            var code: Errno?
            do {
                try await file.write([UInt8](repeating: 7, count: 30_000))
            } catch let error as IOError {
                code = error.code
            }
            try await file.close()
            return (code, try host.disk.read("/log"), host.disk.used)
        }
        #expect(code == .noSpace)
        #expect(content == [UInt8](repeating: 7, count: 4 * 4096))
        #expect(used == 5 * 4096)
    }

    @Test("may have begun a call that is cancelled: then it is done, and the caller hears that")
    func begun() async throws {
        var endings: Set<Bool> = []
        for seed in UInt64(1)...20 {
            let (wasDone, size) = try await onHost(seed: seed) { host in
                host.disk.faults.begunCalls = 0.5
                host.disk.times.call = .seconds(1) ... .seconds(1)
                let file = try await File.open("/a", .writing(.createNew))
                let write = try host.loop.spawn { try await file.write([1, 2, 3]) }
                try await EventLoop.current?.sleep(for: .milliseconds(500))
                write.cancel()
                var wasDone = true
                do { try await write.value } catch is CancellationError { wasDone = false }
                try await file.close()
                return (wasDone, try host.disk.read("/a").count)
            }
            #expect(size == (wasDone ? 3 : 0))
            endings.insert(wasDone)
        }
        #expect(endings == [true, false])
    }

    @Test("has room again when a file is removed, and when the last one closes it")
    func room() async throws {
        try await onHost { host in
            host.disk.capacity = 2 * 4096
            try host.disk.write("/a", [UInt8](repeating: 1, count: 8000))
            let open = try await File.open("/a")
            try await File.remove("/a")
            try #require(host.disk.used == 8192)
            await #expect(throws: IOError.self) { try await File.replace("/b", with: [1]) }
            try await open.close()
            try #require(host.disk.used == 0)
            try await File.replace("/b", with: [1])
        }
    }

    @Test("tells of a failed sync once, and has lost the data")
    func sync() async throws {
        let (codes, content) = try await Simulation(seed: 1).run { world in
            let host = try world.addHost("a")
            try host.disk.write("/a", Array("old".utf8))
            let codes = try await host.run {
                let (file, other) = (
                    try await File.open("/a", .readingAndWriting(.existing)), try await File.open("/a")
                )
                try await file.write(Array("new".utf8), at: 0)
                host.disk.failNextSync()
                var codes: [CInt] = []
                for file in [file, file, other, other] {
                    do {
                        try await file.sync()
                        codes.append(0)
                    } catch let error as IOError {
                        codes.append(error.code.rawValue)
                    }
                }
                return codes
            }
            host.crash()
            return (codes, try host.disk.read("/a"))
        }
        let failure = Errno.ioError.rawValue
        #expect(codes == [failure, 0, failure, 0])
        #expect(content == Array("old".utf8))
    }

    @Test("fails at what it was told to, as often as it was told to")
    func orders() async throws {
        try await onHost { host in
            try host.disk.write("/a", [1])
            try host.disk.write("/b", [2])
            host.disk.fail(.read, of: "/a", times: 1)
            await #expect(throws: IOError.self) { try await File.readAll("/a") }
            _ = try await File.readAll("/b")
            _ = try await File.readAll("/a")
            host.disk.fail(.name, with: .permissionDenied)
            await #expect(throws: IOError.self) { try await Folder.make("/c") }
            host.disk.failNoMore()
            try await Folder.make("/c")
        }
    }

    @Test("gives the same faults for the same seed, and none in a kind world")
    func seeds() async throws {
        let run: @Sendable (UInt64, Bool) async -> (failures: Int, hash: UInt64) = { seed, isUnkind in
            let report = await Simulation(seed: seed).report { world in
                let host = try world.addHost("a")
                if isUnkind {
                    host.disk.faults = .stormy
                    host.disk.faults.writeErrors = 0.2
                    host.disk.faults.syncErrors = 0.2
                }
                return try await host.run {
                    var failures = 0
                    for number in 0..<50 {
                        do { try await File.replace("/\(number)", with: [1, 2, 3]) } catch { failures += 1 }
                    }
                    return failures
                }
            }
            return ((try? report.result.get()) ?? -1, report.traceHash)
        }
        let (first, second, third) = (await run(1, true), await run(1, true), await run(2, true))
        #expect(first == second)
        #expect(first.hash != third.hash)
        #expect(first.failures > 5)
        #expect(await run(1, false).failures == 0)
    }
}
