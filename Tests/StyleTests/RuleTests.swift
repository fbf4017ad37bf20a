import Testing

/// A rule that never fires keeps nothing: each is shown what it has to find, and what it has to let pass.
@Suite("The rules of style")
struct RuleTests {
    @Test("a rule fires on a bad sample, at its line", arguments: Sample.bad)
    func fires(_ sample: Sample) throws {
        let findings = sample.rule.check(sample.files)
        let finding = try #require(findings.first { $0.path == sample.path }, "\(sample.rule) let it pass")
        #expect(finding.line == sample.line)
        #expect(finding.description.hasPrefix("\(sample.path):\(sample.line): "))
        #expect(finding.message.count > 10)
    }

    @Test("a rule lets a good sample pass", arguments: Sample.good)
    func passes(_ sample: Sample) {
        #expect(sample.rule.check(sample.files).filter { $0.path == sample.path } == [])
    }

    @Test("every rule has a sample that breaks it and one that keeps it", arguments: Rule.all)
    func everyRuleIsProven(_ rule: Rule) {
        #expect(Sample.bad.contains { $0.rule.name == rule.name })
        #expect(Sample.good.contains { $0.rule.name == rule.name })
    }

    @Test(
        "strings and comments are told from code",
        arguments: [
            ("a // b\nc", "a     \nc", "  // b\n "),
            ("a /* b /* c */ d */ e", "a                   e", "  /* b /* c */ d */  "),
            ("a \"// b\" c", "a        c", "          "), ("a \"\\\"b\" c", "a       c", "         "),
            ("a \"\\(f(\"b\"))\" c", "a    f(   )   c", "               "), ("#\"\\\"# a", "      a", "       "),
            ("#\"\"\"\n\"\"# b\n\"\"\"# c", "    \n     \n     c", "    \n     \n      "),
            ("\"open\nnext", "     \nnext", "     \n    "),
        ])
    func lexer(text: String, code: String, comments: String) {
        var lexer = Lexer(text, knowsCharacterLiterals: false)
        lexer.run()
        #expect(String(decoding: lexer.code, as: UTF8.self) == code)
        #expect(String(decoding: lexer.comments, as: UTF8.self) == comments)
    }

    @Test("a character literal of C hides a quote")
    func characterLiteral() {
        let file = SourceFile(path: "Sources/C/a.c", text: "char a = '\"', b = '\\''; b();\n")
        #expect(file.code == ["char a =    , b =     ; b();"])
    }
}

/// A text, and the rule that is asked about it.
struct Sample: Sendable, CustomTestStringConvertible {
    let rule: Rule
    let path: String
    let files: [SourceFile]
    let line: Int

    var testDescription: String { "\(rule): \(path)" }

    private init(_ rule: Rule, _ path: String, _ text: String, line: Int = 1, beside others: [SourceFile] = []) {
        self.rule = rule
        self.path = path
        self.line = line
        files = [SourceFile(path: path, text: text)] + others
    }

    private static let swift = "Sources/AsyncIOLoop/A.swift"
    private static let test = "Tests/AsyncIOLoopTests/A.swift"
    private static let spi = "@_spi(ExperimentalCustomExecutors) import _Concurrency\n"

    static let bad: [Sample] = [
        Sample(.shortFiles, swift, String(repeating: "a\n", count: 401), line: 401),
        Sample(.shortLines, swift, "a\n" + String(repeating: "é", count: 121) + "\n", line: 2),
        Sample(.cleanLines, swift, "a \n"),
        Sample(.cleanLines, swift, "a\r\n"),
        Sample(.noTabs, swift, "a\n\tb\n", line: 2),
        Sample(.oneFinalNewline, swift, "a\nb", line: 2),
        Sample(.oneFinalNewline, swift, "a\n\n", line: 2),
        Sample(.oneFinalNewline, swift, ""),
        Sample(.noMarks, swift, "a\n// TODO: b\n", line: 2),
        Sample(.noMarks, "Sources/CAsyncIO/a.c", "/* XXX */\n"),
        Sample(.noMarks, test, "func FIXME() {}\n"),
        Sample(.noPlatformConditions, swift, "#if os(Linux)\n"),
        Sample(.noPlatformConditions, test, "#if a\n#elseif !os(macOS)\n", line: 2),
        Sample(.noForce, test, "let a = try! b()\n"),
        Sample(.noForce, swift, "let a = b as! C\n"),
        Sample(.noForce, swift, "let a = \"\\(try! b())\"\n"),
        Sample(.noForeignLoops, swift, "DispatchQueue.main.async {}\n"),
        Sample(.noForeignLoops, swift, "import Dispatch\n"),
        Sample(.noForeignLoops, swift, "public import struct Foundation.Data\n"),
        Sample(.noForeignLoops, "Sources/AsyncIOHTTP/A.swift", "a\nimport FoundationEssentials\n", line: 2),
        Sample(.noForeignLoops, "Sources/AsyncIOHTTP/JSON/A.swift", "import Foundation\n"),
        Sample(.honestNames, "Sources/AsyncIO/Utilities/A.swift", "a\n"),
        Sample(.honestNames, "Tests/AsyncIOTests/TestHelpers.swift", "a\n"),
        Sample(.honestNames, "Sources/AsyncIO/DNSManager+Cache.swift", "a\n"),
        Sample(.honestNames, "Benchmarks/utils/a.sh", ""),
        Sample(.honestNames, "Sources/AsyncIO/ReaderImpl.swift", "a\n"),
        Sample(.honestNames, "Sources/AsyncIO/ReaderImplementation.swift", "a\n"),
        Sample(.finalClasses, swift, "public class A {}\n"),
        Sample(.finalClasses, swift, "a\nopen class A: B {}\n", line: 2),
        Sample(.finalClasses, swift, "class A {} // final\n"),
        Sample(.finalClasses, swift, "class A { final func b() {} }\n"),
        Sample(.oneFileOfSPI, swift, spi, beside: [SourceFile(path: "Sources/AsyncIO/B.swift", text: "\n" + spi)]),
        Sample(.noFeatureMacroInHeaders, "Sources/CAsyncIO/include/a.h", "#define _GNU_SOURCE\n"),
        Sample(.noSleepsInTests, test, "try await Task.sleep(for: .seconds(1))\n"),
        Sample(.noSleepsInTests, test, "usleep(5)\n"),
        Sample(.noSleepsInTests, test, "Glibc.x(); sleep(5) // sleeps:\n"),
        Sample(.oneReaderOfErrno, swift, "let code = errno\n"),
        Sample(.fewResumers, "Sources/AsyncIO/A.swift", "\ncontinuation.resume(returning: a)\n", line: 2),
        Sample(.fewResumers, "Sources/AsyncIOLoop/LoopCore.swift", "// .resume(\n"),
        Sample(.noPrinting, swift, "a\nprint(b)\n", line: 2),
        Sample(.noPrinting, swift, "Swift.print(b)\n"),
        Sample(.floorsPointDown, swift, "public import AsyncIO\n"),
        Sample(.floorsPointDown, swift, "\n@_exported import struct AsyncIOLoop.A\n", line: 2),
        Sample(.floorsPointDown, "Sources/AsyncIOKernel/A.swift", "import AsyncIOTelepathy\n"),
        Sample(.floorsPointDown, "Sources/AsyncIOTelepathy/A.swift", "import CAsyncIO\n"),
    ]

    static let good: [Sample] = [
        Sample(.shortFiles, swift, String(repeating: "a\n", count: 400)),
        Sample(.shortLines, swift, String(repeating: "é", count: 120) + "\n"),
        Sample(.cleanLines, swift, "\n  a\n"),
        Sample(.noTabs, "Sources/CAsyncIO/a.c", "\ta\n"),
        Sample(.oneFinalNewline, swift, "a\n\nb\n"),
        Sample(.oneFinalNewline, "Sources/AsyncIO/Documentation.docc/A.md", ""),
        Sample(.noMarks, swift, "let todo = \"TODO\" // \\xXXXX\n"),
        Sample(.noPlatformConditions, swift, "// no #if os(Linux)\n#if compiler(>=6.5)\nos(a)\n"),
        Sample(.noForce, swift, "try? a(); b != c; d as? E // try!\n"),
        Sample(.noForeignLoops, test, "import Foundation\n"),
        Sample(.noForeignLoops, swift, "import Glibc // not Foundation\n"),
        Sample(.noForeignLoops, "Sources/AsyncIOHTTP/JSON/A.swift", "public import FoundationEssentials\n"),
        Sample(.honestNames, "Sources/AsyncIO/Simple/Implicit/Managed.swift", "a\n"),
        Sample(.finalClasses, swift, "public final class A { class func b() {} }\n// a class of its own\n"),
        Sample(.finalClasses, test, "class A {}\n"),
        Sample(.oneFileOfSPI, swift, spi + spi, beside: [SourceFile(path: test, text: spi)]),
        Sample(.noFeatureMacroInHeaders, "Sources/CAsyncIO/a.c", "#define _GNU_SOURCE\n"),
        Sample(.noFeatureMacroInHeaders, "Sources/CAsyncIO/include/a.h", "// no _GNU_SOURCE here\n"),
        Sample(.noSleepsInTests, test, "usleep(5) // sleeps: the kernel's clock is what is tested\n"),
        Sample(.noSleepsInTests, test, "loop.sleep(until: a); asleep(b); // sleep(\n"),
        Sample(.noSleepsInTests, swift, "try await Task.sleep(for: a)\n"),
        Sample(.oneReaderOfErrno, "Sources/AsyncIOKernel/SystemCall.swift", "let code = errno\n"),
        Sample(.oneReaderOfErrno, swift, "Errno(rawValue: a) // errno\n"),
        Sample(.fewResumers, "Sources/AsyncIOLoop/LoopCore.swift", "unsafe continuation.resume(returning: a)\n"),
        Sample(.noPrinting, "Sources/AsyncIOCommand/A.swift", "print(b)\n"),
        Sample(.noPrinting, swift, "page.print(a); blueprint(b) // print(c)\n"),
        Sample(.floorsPointDown, swift, "import AsyncIOKernel\nimport CAsyncIO\nimport Glibc\n"),
        Sample(.floorsPointDown, "Sources/asyncio/A.swift", "import AsyncIO // not asyncio\n"),
        Sample(.floorsPointDown, test, "import AsyncIO\n"),
    ]
}
