import AsyncIO
import AsyncIOTestSupport
import AsyncIOTesting
import Glibc
import SystemPackage
import Testing

@Suite("A simulated disk and a real one")
struct DiskModelTests {
    @Test(
        "say the same of the same random work",
        arguments: Randomness.seeds.flatMap { seed in (0..<12).map { seed &+ $0 } })
    func sameTranscript(seed: UInt64) async throws {
        let real = try await withLoop(Setting(driver: Drivers.available[0], caller: .onLoop)) { _ in
            try await withTemporaryFolder { folder in
                // Links may lead a folder up.
                let base = folder.appending("base").appending("base").string
                try await Folder.makeAll(base, permissions: .ownerReadWriteExecute)
                let steps = FileSteps(seed: seed, in: base)
                await steps.run(400)
                return steps.transcript
            }
        }
        let simulated = try await Simulation(seed: seed).run { world in
            let host = try world.addHost("a")
            host.disk.userID = getuid()
            return try await host.run {
                try await Folder.makeAll("/tmp/base/base", permissions: .ownerReadWriteExecute)
                let steps = FileSteps(seed: seed, in: "/tmp/base/base")
                await steps.run(400)
                return steps.transcript
            }
        }
        let different = zip(real, simulated).enumerated().first { $1.0 != $1.1 }
        if let (step, (really, simulatedly)) = different {
            let before = real[max(0, step - 5)..<step].joined(separator: "\n")
            Issue.record("seed \(seed), step \(step): really \(really)\nsimulated \(simulatedly)\nafter\n\(before)")
        }
        #expect(real.count == simulated.count)
    }
}
