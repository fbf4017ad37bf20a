#if HTTP && FUZZ
import AsyncIOTesting
import HTTPTypes

@testable import AsyncIOHTTP

/// Forms: their parts and contents must not depend on how the bytes come.
enum MultipartFuzz {
    private struct Outcome: Equatable {
        var parts: [HTTPFields] = []
        var ends: [Int] = []
        var content: [UInt8] = []
        var status: Int?
    }

    static func run(_ random: inout Randomness) -> Main.Verdict {
        let bytes = random.input(seeds, ingredients)
        var limits = MultipartLimits()
        let isNarrow = random.chance(oneIn: 4)
        if isNarrow {
            limits.parts = random.number(0...3)
            limits.headSize = random.number(0...80)
            limits.partSize = random.number(0...20)
            limits.total = random.number(0...400)
        }
        let whole = outcome(limits, [bytes])
        let cut = outcome(limits, random.cut(bytes))
        // At limits, the pieces decide how much of a content is given before it is too much, and whether something
        // behind the end of the form counts.
        let isSame = whole == cut || isNarrow && (whole.status != nil || cut.status != nil)
        guard isSame else { return .wrong("\(readable(bytes))\n  whole: \(whole)\n  cut:   \(cut)") }
        return whole.status == nil ? .understood : .refused
    }

    private static func outcome(_ limits: MultipartLimits, _ pieces: [[UInt8]]) -> Outcome {
        var outcome = Outcome()
        do {
            var parser = try MultipartParser(boundary: "x-y", limits: limits)
            for piece in pieces {
                try parser.feed(piece)
                while let event = try parser.next() {
                    switch event {
                    case .part(let fields):
                        outcome.parts.append(fields)
                        _ = try? FormPart(fields, body: .empty).safeFileName
                    case .bytes(let bytes): outcome.content += bytes
                    case .endOfPart: outcome.ends.append(outcome.content.count)
                    case .end: break
                    }
                }
            }
            try parser.finish()
        } catch {
            outcome.status = error.status.code
        }
        return outcome
    }

    private static let seeds = [
        "--x-y\r\nContent-Disposition: form-data; name=a\r\n\r\nhello\r\n--x-y--\r\n",
        "before\r\n--x-y  \r\nContent-Disposition: form-data; name=\"f\"; filename=\"../a\\\"b\"\r\nA: b\r\n\r\n"
            + "\r\n--x-z\r\n--x-y\r\nContent-Disposition: form-data; name=c\r\n\r\n--x-y--behind",
        "--x-y\r\n\r\n\r\n--x-y\r\n\r\n--x-\r\r\n--x-y--",
    ].map { Array($0.utf8) }

    private static let ingredients =
        [
            "\r\n", "\r", "\n", "--", "-", "--x-y", "\r\n--x-y", "\r\n--x-y\r\n", "\r\n--x-y--", " ", "\t", ":", ";",
            "\"", "\\", "\0", "A: b\r\n", "\r\n\r\n", "\u{fc}", "\r\n--x", String(repeating: "\r", count: 30),
        ].map { Array($0.utf8) } + [[0xff], [0x80]]
}
#endif
