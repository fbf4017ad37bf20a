import AsyncIO
import AsyncIOLoop
import AsyncIOTestSupport
import Testing

/// A kind of stream that has to pass the conformance suite: how its connected pairs are made, and what it can do.
struct StreamKind: Sendable, CustomTestStringConvertible {
    let name: String
    var can = StreamCapabilities.all
    var bulk = 48 << 20
    let makePair: @Sendable (EventLoop) async throws -> StreamStand.Pair

    var testDescription: String { name }

    static let all = [
        StreamKind(name: "memory") { _ in MemoryStream.pair() },
        StreamKind(name: "memory, 64 bytes", bulk: 200_000) { _ in MemoryStream.pair(capacity: 64) },
        StreamKind(name: "memory, 1,000 bytes", bulk: 1 << 20) { _ in MemoryStream.pair(capacity: 1_000) },
    ]
}

@Suite("Conformance: what every stream does", .timeLimit(.minutes(30)))
struct ConformanceTests {
    @Test(
        arguments: StreamScenario.all, Setting.all.flatMap { setting in StreamKind.all.map { (setting, $0) } })
    func scenario(_ scenario: StreamScenario, on stand: (setting: Setting, kind: StreamKind)) async throws {
        try await withLoop(stand.setting, limit: .seconds(60)) { loop in
            try await Watchdog.watch("\(scenario), on \(stand.kind.name)", limit: .seconds(60)) {
                try await scenario.run(can: stand.kind.can, bulk: stand.kind.bulk) {
                    try await stand.kind.makePair(loop)
                }
            }
        }
    }
}
