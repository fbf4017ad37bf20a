import Testing

/// The sources keep the project's style. A rule is a line of Rule+All.swift; here each is held against the repository.
@Suite("The style of the sources")
struct StyleTests {
    @Test("the repository is found, this file in it")
    func repository() {
        #expect(Repository.files.contains { $0.path == "Tests/StyleTests/StyleTests.swift" })
        #expect((Repository.files.first { $0.path == "Sources/AsyncIOKernel/SystemCall.swift" }?.lines.count ?? 0) > 10)
        #expect(!Repository.files.contains { $0.path.contains(".build") })
    }

    @Test("no file is longer than 400 lines") func shortFiles() { expectKept(.shortFiles) }
    @Test("no line is longer than 120 columns") func shortLines() { expectKept(.shortLines) }
    @Test("no line ends in white space") func cleanLines() { expectKept(.cleanLines) }
    @Test("Swift is indented by spaces") func noTabs() { expectKept(.noTabs) }
    @Test("a file ends in one newline") func oneFinalNewline() { expectKept(.oneFinalNewline) }
    @Test("nothing is marked as unfinished") func noMarks() { expectKept(.noMarks) }
    @Test("nothing depends on the platform") func noPlatformConditions() { expectKept(.noPlatformConditions) }
    @Test("nothing is forced") func noForce() { expectKept(.noForce) }
    @Test("the sources need neither Dispatch nor Foundation") func noForeignLoops() { expectKept(.noForeignLoops) }
    @Test("files and folders are named after what they hold") func honestNames() { expectKept(.honestNames) }
    @Test("classes are final") func finalClasses() { expectKept(.finalClasses) }
    @Test("one file uses experimental SPI") func oneFileOfSPI() { expectKept(.oneFileOfSPI) }
    @Test("no header sets a feature macro") func noFeatureMacro() { expectKept(.noFeatureMacroInHeaders) }
    @Test("tests do not wait by sleeping") func noSleepsInTests() { expectKept(.noSleepsInTests) }
    @Test("errno is read in SystemCall.swift alone") func oneReaderOfErrno() { expectKept(.oneReaderOfErrno) }
    @Test("continuations are resumed in few places") func fewResumers() { expectKept(.fewResumers) }
    @Test("libraries do not print") func noPrinting() { expectKept(.noPrinting) }
    @Test("no target imports what stands above it") func floorsPointDown() { expectKept(.floorsPointDown) }

    private func expectKept(_ rule: Rule, at location: SourceLocation = #_sourceLocation) {
        for finding in rule.check(Repository.files) {
            Issue.record("\(finding)", sourceLocation: location)
        }
    }
}
