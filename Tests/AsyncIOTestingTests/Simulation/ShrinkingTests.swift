import AsyncIO
import AsyncIOKernel
import AsyncIOTestSupport
import Testing

@testable import AsyncIOTesting

@Suite("A run without some of its choices")
struct ShrinkingTests {
    /// What a world draws after 200 bytes have gone through a socket in pieces, with all choices or with some of them.
    private func draw(only choices: Set<Int>?) async throws -> (UInt64, unkind: Int) {
        var simulation = Simulation(seed: 11)
        simulation.faults = .stormy
        simulation.faults.shortTransfers = 0.9
        let run = simulation
        let report = try await onOwnThread("test") {
            run.perform(only: choices, keepsChoices: true) { world in
                let host = try world.addHost("a")
                try await host.run {
                    let (one, other) = try await UnixStream.pair()
                    try await one.write([UInt8](repeating: 1, count: 200))
                    var count = 0
                    while count < 200 { count += try await other.read()?.count ?? 200 }
                    one.close()
                    other.close()
                }
                return world.random(in: 0...UInt64.max)
            }
        }
        return (try report.result.get(), report.unkind.count)
    }

    @Test("draws everything else as the whole run does: a fault's size is its own affair")
    func details() async throws {
        let whole = try await draw(only: nil)
        let kind = try await draw(only: [])
        #expect(whole.unkind > 5)
        #expect(kind.unkind == 0)
        #expect(whole.0 == kind.0)
    }

    @Test("each choice has details of its own")
    func streams() {
        var perturbations = Perturbations(seed: 1)
        var seen: Set<UInt64> = []
        for _ in 0..<100 {
            _ = perturbations.happens("fault", 0.5, at: World.start)
            var details = perturbations.details
            seen.insert(details.next())
        }
        #expect(seen.count == 100)
    }
}
