import AsyncIO
import AsyncIOTestSupport
import AsyncIOTesting
import Testing

/// A scenario, and what is to be seen of it: the same, wherever it is played.
struct Transcript: Sendable, CustomTestStringConvertible {
    let name: String
    let body: @Sendable (Stage) async throws -> Void

    init(_ name: String, _ body: @escaping @Sendable (Stage) async throws -> Void) {
        self.name = name
        self.body = body
    }

    var testDescription: String { name }

    static let all =
        connections + endings + servers + datagrams + locals + streams + files + folders + processes + names
}

@Suite("A simulated world and the real one", .timeLimit(.minutes(10)))
struct TranscriptTests {
    @Test("say the same of a scenario", arguments: Transcript.all)
    func same(scenario: Transcript) async throws {
        let real = try await Theatre.all[0].play(scenario.body)
        #expect(!real.isEmpty && !real.contains { $0.contains("the scenario threw") }, "\(real)")
        for theatre in Theatre.all.dropFirst() {
            let lines = try await theatre.play(scenario.body)
            guard lines != real else { continue }
            let longer = max(lines.count, real.count)
            let line = (0..<longer).first { index in
                index >= lines.count || index >= real.count || lines[index] != real[index]
            }
            let index = line ?? 0
            func at(_ lines: [String]) -> String { index < lines.count ? lines[index] : "nothing more" }
            Issue.record(
                """
                \(scenario.name), line \(index):
                \(Theatre.all[0]): \(at(real))
                \(theatre): \(at(lines))
                """)
        }
    }

    @Test("are at least fifty scenarios, each with a name of its own")
    func names() {
        #expect(Transcript.all.count >= 50)
        #expect(Set(Transcript.all.map { $0.name }).count == Transcript.all.count)
    }
}
