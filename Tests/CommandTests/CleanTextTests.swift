import AsyncIOTestSupport
import Testing

@testable import AsyncIOCommand

@Suite("Text for other people's terminals")
struct CleanTextTests {
    @Test(
        "stays what it is where it is harmless",
        arguments: ["hello", "Größe, 李, Ольга", "שלום", "👩‍👩‍👧", "🏴\u{e0067}\u{e0062}\u{e007f}", "ที่นี่", "a\u{300}"])
    func harmless(_ text: String) {
        #expect(CleanText(Array(text.utf8)).description.unicodeScalars.elementsEqual(text.unicodeScalars))
    }

    @Test(
        "loses what could do harm",
        arguments: [
            ("\u{1b}[2Jhello\u{7}", "[2Jhello"), ("a\u{9b}31mb", "a31mb"), ("a\tb", "a b"), ("\u{202e}olleh", "olleh"),
            ("a\u{2028}b", "a b"), ("\u{feff}a\u{0}", "a"), ("  a  ", "a"), ("\u{7f}", ""),
            ("e" + String(repeating: "\u{301}", count: 500), "e" + String(repeating: "\u{301}", count: 6)),
        ])
    func harmful(_ text: String, clean: String) {
        #expect(CleanText(text).description.unicodeScalars.elementsEqual(clean.unicodeScalars))
    }

    @Test("is repaired where it is not UTF-8")
    func repair() {
        #expect(CleanText([0x61, 0xff, 0x62]).description == "a\u{fffd}b")
        #expect(CleanText([0xc3]).description == "\u{fffd}")
    }

    @Test("whatever people send, nobody is sent a control byte", arguments: 0..<50 as Range<UInt64>)
    func property(_ seed: UInt64) {
        var random = Randomness(seed: seed)
        var people = Gathering()
        let writers = ["anna", "bob"].map { people.arrive($0) }
        let interesting: [UInt8] =
            Array("/me /nick /join /msg /who anna bob #\n\r".utf8) + [0x1b, 0x9b, 0xc2, 255, 250, 0]
        for _ in 1...60 {
            let writer = writers[Int(random.next() % 2)]
            var splitter = LineSplitter(limit: 200)
            let bytes = (0..<random.next() % 300).map { _ in
                random.next() % 3 == 0
                    ? UInt8(truncatingIfNeeded: random.next()) : interesting.randomElement(using: &random) ?? 0
            }
            for event in splitter.feed(bytes) + splitter.finish() where event != .interrupt {
                people.chat.receive(event, from: writer)
            }
            for reader in writers {
                guard case .write(let output) = people.chat.next(for: reader) else { continue }
                let text = String(decoding: output, as: UTF8.self)
                #expect(Array(text.utf8) == output, "seed \(seed): the output is UTF-8")
                let controls = text.unicodeScalars.filter { $0 != "\n" && $0.properties.generalCategory == .control }
                #expect(controls.isEmpty, "seed \(seed): \(text.debugDescription)")
            }
        }
    }
}

@Suite("Lines")
struct LineSplitterTests {
    private func lines(_ pieces: [UInt8]..., limit: Int = 10) -> [String] {
        var splitter = LineSplitter(limit: limit)
        return (pieces.flatMap { splitter.feed($0) } + splitter.finish()).map { event in
            switch event {
            case .line(let bytes): String(decoding: bytes, as: UTF8.self)
            case .tooLong: "(too long)"
            case .interrupt: "(interrupt)"
            }
        }
    }

    @Test("end in LF, CR LF, CR NUL or CR, in whatever pieces they come")
    func ends() {
        #expect(
            lines(Array("a\nb\r\nc\r".utf8), [0x00], Array("d\re\r".utf8), Array("\nf".utf8)) == [
                "a", "b", "c", "d", "e", "f",
            ])
        #expect(lines(Array("\n\n".utf8)) == ["", ""])
        #expect(lines() == [])
    }

    @Test("that are too long are reported once, and the next one is whole")
    func limit() {
        #expect(lines(Array("1234567890\n12345678901\nok\n".utf8)) == ["1234567890", "(too long)", "ok"])
        #expect(lines(Array(repeating: 0x61, count: 1_000_000), Array("b\nok".utf8)) == ["(too long)", "ok"])
    }

    @Test("are free of telnet's commands")
    func telnet() {
        let negotiation: [UInt8] = [255, 253, 3, 255, 251, 24]
        let subnegotiation: [UInt8] = [255, 250, 24, 0, 65, 255, 255, 66, 255, 240]
        #expect(lines([0x61] + negotiation + [0x62], subnegotiation + [0x63], [255, 241, 0x64, 0x0a]) == ["abcd"])
        #expect(lines([255], [253], [6, 0x61, 0x0a]) == ["a"])
        #expect(lines([255, 244]) == ["(interrupt)"])
        #expect(lines([255, 236]) == ["(interrupt)"])
    }

    @Test("say by their ends what the answers should end in")
    func answers() {
        var splitter = LineSplitter(limit: 10)
        _ = splitter.feed(Array("a\n".utf8))
        #expect(!splitter.endsInReturn)
        _ = splitter.feed(Array("b\r\n".utf8))
        #expect(splitter.endsInReturn)
    }
}
