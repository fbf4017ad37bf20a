import Testing

@testable import AsyncIOInspection

@Suite("The line protocol's lines")
struct LineTests {
    @Test("bring every text through, and no control character", arguments: 1...50 as ClosedRange<UInt64>)
    func hostileTexts(seed: UInt64) throws {
        var random = Dice(seed: seed)
        let text = random.text(count: 40)
        var lines = LineWriter()
        lines.begin("note")
        lines.add("text", text)
        lines.add("empty", "")
        lines.end()
        let body = lines.bytes.dropLast()
        #expect(body.filter { $0 < 0x20 } == [0x09, 0x09], "a tab before each field, and nothing else")
        #expect(String(decoding: body, as: UTF8.self).unicodeScalars.allSatisfy { !(0x7f..<0xa0).contains($0.value) })
        guard case .record(let record) = try Line(parsing: body, number: 1) else {
            Issue.record("no record")
            return
        }
        #expect(record.kind == "note")
        #expect(try record.text("text").map { Array($0.unicodeScalars) } == Array(text.unicodeScalars))
        #expect(try record.text("empty") == "")
        #expect(try record.text("other") == nil)
    }

    @Test("are as documented")
    func example() throws {
        var lines = LineWriter()
        lines.begin("task")
        lines.add("name", "a\tb\nc\\d=e\u{1b}[1m\u{9b}é")
        lines.add("id", 7 as UInt64)
        lines.add("since", Duration.milliseconds(2))
        lines.add("by", [3, 4])
        lines.add("none", [])
        lines.add("cancelled", true)
        lines.add("complete", false)
        lines.end()
        lines.addLine("error", "not\nnow")
        lines.addBytes([1, 2])
        lines.addEnd()
        let expected =
            "task\tname=a\\tb\\nc\\\\d=e\\x1b[1m\\xc2\\x9bé\tid=7\tsince=2000000\tby=3,4\tcancelled=1\n"
            + "error not\\nnow\nbytes 2\n\u{1}\u{2}end\n"
        #expect(String(decoding: lines.bytes, as: UTF8.self) == expected)
    }

    @Test(
        "that make no sense are refused, with their number",
        arguments: [
            ("", "it has no kind"), ("\tid=1", "it has no kind"), ("task\tid", "a field without ="),
            ("task\tid=\\q", "a strange escape"), ("task\tid=\\", "a strange escape"),
            ("task\tid=\\x1", "a strange escape"), ("task\tid=\\x+1", "a strange escape"),
            ("task\tname=\\xff", "it is not UTF-8"), ("bytes -1", "no number of bytes"),
            ("bytes 1 2", "no number of bytes"),
        ])
    func strangeLines(_ line: String, reason: String) {
        #expect(throws: LineError(line: 7, reason: reason)) { try Line(parsing: Array(line.utf8)[...], number: 7) }
    }

    @Test("name a task's strange number")
    func strangeValues() throws {
        let process = "process\tpid=1\tprogram=x\tprotocol=1\tloops=1\tage=0\n"
        for (line, reason) in [
            ("task\tid=x\tstate=ready", "task with a strange id"), ("task\tstate=ready", "task without id"),
            ("task\tid=1\tstate=ill", "task with a strange state"), ("task\tid=1", "task without state"),
            ("task\tid=1\tstate=waiting\twait=lock\tby=1,,2", "task with a strange by"),
            ("task\tid=99999999999999999999\tstate=ready", "task with a strange id"),
            ("loop\tname=a", "loop without number"), ("note", "note without text"),
        ] {
            var answer = AnswerReader()
            let lines = Array("\(process)\(line)\n".utf8)
            #expect(throws: LineError(line: 2, reason: reason)) { try answer.take(lines) }
        }
    }
}

@Suite("An answer")
struct AnswerTests {
    @Test("brings a task tree through, in pieces of any size", arguments: [1, 2, 7, 1000, .max])
    func roundTrip(pieces: Int) throws {
        var random = Dice(seed: UInt64(truncatingIfNeeded: pieces))
        let tree = random.tree(tasks: 200)
        let bytes = tree.answer
        var answer = AnswerReader()
        var rest = bytes[...]
        while !rest.isEmpty {
            #expect(!answer.isComplete)
            try answer.take(Array(rest.prefix(pieces)))
            rest = rest.dropFirst(min(pieces, rest.count))
        }
        try answer.finish()
        let read = try #require(answer.records.tree)
        #expect(read.process == tree.process)
        #expect(read.tasks.count == 200)
        #expect(read.answer == bytes)
        for (left, right) in zip(read.tasks, tree.tasks) {
            #expect(left.name == right.name)
            #expect(left.wait == right.wait)
            #expect(left.since == right.since)
            #expect(left.origin == right.origin)
            #expect(left.stack == right.stack)
            #expect(left.isCancelled == right.isCancelled)
        }
        #expect(read.notes == tree.notes)
    }

    @Test("that is cut off anywhere is not taken for whole")
    func truncated() throws {
        var random = Dice(seed: 4)
        let bytes = random.tree(tasks: 3).answer
        for count in bytes.indices {
            var answer = AnswerReader()
            try answer.take(Array(bytes[..<count]))
            #expect(throws: LineError.self) { try answer.finish() }
        }
    }

    @Test("of garbage is an error, and no crash", arguments: 1...300 as ClosedRange<UInt64>)
    func garbage(seed: UInt64) {
        var random = Dice(seed: seed)
        var bytes: [UInt8]
        if seed % 2 == 0 {
            bytes = (0..<random.below(2_000)).map { _ in UInt8(random.below(256)) }
        } else {
            // Nearly right: some bytes are changed, left out, or there twice.
            bytes = random.tree(tasks: 4).answer
            for _ in 0...random.below(6) {
                let place = random.below(bytes.count)
                switch random.below(3) {
                case 0: bytes[place] = UInt8(random.below(256))
                case 1: bytes.remove(at: place)
                default: bytes.insert(bytes[place], at: place)
                }
            }
        }
        var answer = AnswerReader()
        do {
            try answer.take(bytes)
            try answer.finish()
        } catch {
            #expect(error.line >= 1)
            #expect(error.line <= bytes.count { $0 == 0x0a } + 1)
        }
    }

    @Test("may be a refusal")
    func refusal() throws {
        var answer = AnswerReader()
        try answer.take(Array("error not\\tnow\n".utf8))
        #expect(answer.isComplete)
        #expect(answer.refusal == "not\tnow")
        #expect(throws: LineError(line: 2, reason: "more than was asked for")) { try answer.take([0x61]) }
    }

    @Test("may be bytes, whatever they are")
    func body() throws {
        var answer = AnswerReader()
        for byte in Array("bytes 6\nend\n\\\nend\n".utf8) { try answer.take([byte]) }
        #expect(answer.body == Array("end\n\\\n".utf8))
        #expect(answer.isComplete)
        var other = AnswerReader()
        #expect(throws: LineError.self) { try other.take(Array("bytes 9999999999999\n".utf8)) }
    }

    @Test("of an endless line is refused before memory is full")
    func endlessLine() {
        var answer = AnswerReader()
        let piece = [UInt8](repeating: 0x61, count: 65_536)
        #expect(throws: LineError(line: 1, reason: "it is too long")) { for _ in 0..<17 { try answer.take(piece) } }
    }

    @Test("of a newer protocol is refused, an unknown kind is passed over")
    func newer() throws {
        var answer = AnswerReader()
        try answer.take(Array("process\tpid=1\tprogram=x\tprotocol=1\tloops=1\tage=0\nplanet\tname=9\nend\n".utf8))
        #expect(answer.isComplete)
        var other = AnswerReader()
        #expect(throws: LineError.self) {
            try other.take(Array("process\tpid=1\tprogram=x\tprotocol=2\tloops=1\tage=0\n".utf8))
        }
    }
}

@Suite("A request")
struct RequestTests {
    @Test(
        "is read as it is written",
        arguments: [
            .hello, .tree(stacks: false), .tree(stacks: true), .loops, .quit, .trace(.seconds(5), .html),
            .endTrace(.json), .trace(.milliseconds(250), .json),
        ] as [InspectionRequest])
    func roundTrip(_ request: InspectionRequest) {
        #expect(InspectionRequest(request.description) == request)
    }

    @Test("for a trace says how long, and is within bounds")
    func traces() {
        #expect(InspectionRequest("trace 5s html") == .trace(.seconds(5), .html))
        #expect(InspectionRequest("trace 1.5s json") == .trace(.milliseconds(1500), .json))
        #expect(InspectionRequest("trace 2m json") == .trace(.seconds(120), .json))
        for strange in [
            "trace", "trace 5s", "trace 5 html", "trace 0s html", "trace -1s html", "trace 2h html", "trace 61m html",
            "trace 5s pdf", "trace nans html", "trace infs html", "trace 1e9s html", "trace 5s html now",
        ] {
            #expect(InspectionRequest(strange) == nil, "\(strange)")
        }
    }

    @Test("may be anything, and is answered without a crash", arguments: 1...200 as ClosedRange<UInt64>)
    func garbage(seed: UInt64) {
        var random = Dice(seed: seed)
        let text = random.text(count: random.below(60))
        #expect(InspectionRequest(text).map { InspectionRequest("\($0)") == $0 } ?? true)
    }
}
