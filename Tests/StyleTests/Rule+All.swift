// What this package's sources are held to. Each rule has a test on the repository (StyleTests) and samples that break
// it (RuleTests). What the toolchain's formatter finds already is left to it.

extension Rule {
    /// Where a waiting task's continuation is resumed, and why there. Everybody else completes a token or wakes a
    /// waiter through these files, so that "exactly once" can be read in one sitting.
    static let filesThatResumeContinuations: [String: String] = [
        "Sources/AsyncIOLoop/LoopCore.swift": "every operation ends here, with its token",
        "Sources/AsyncIOLoop/EventLoop+Operations.swift": "an operation that has ended before its task waits",
        "Sources/AsyncIOInspection/Runtime/LayoutProbe.swift": "tasks that are there to be looked at",
        "Sources/AsyncIOTesting/Simulation/OwnThread.swift": "whoever waits for a body on a thread of its own",
        "Sources/AsyncIOLoop/Suspension.swift": "whoever lets others go first",
        "Sources/AsyncIOLoop/Waiter.swift": "whoever waits for a lock, an end, a result or a piece of blocking work",
    ]

    /// Which floor a target stands on. A target imports only what stands below it.
    static let floors: [String: Int] = [
        "CAsyncIO": 0, "CAsyncIOMain": 0, "AsyncIOKernel": 1, "AsyncIOLoop": 2, "AsyncIO": 3, "AsyncIOMain": 4,
        "AsyncIOTransports": 4, "AsyncIOTesting": 4, "AsyncIOTestingTraits": 5, "AsyncIOXCTest": 5,
        "AsyncIONIO": 4, "AsyncIOTLS": 5, "CAsyncIOZlib": 0, "CAsyncIOInspection": 0, "AsyncIOInspection": 4,
        "AsyncIOServices": 4, "AsyncIOHTTP": 6, "AsyncIOCommand": 7, "asyncio": 8,
    ]

    static let all: [Rule] = [
        shortFiles, shortLines, cleanLines, noTabs, oneFinalNewline, noMarks, noPlatformConditions, noForce,
        noForeignLoops, honestNames, finalClasses, oneFileOfSPI, noFeatureMacroInHeaders, noSleepsInTests,
        oneReaderOfErrno, fewResumers, noPrinting, floorsPointDown,
    ]

    // MARK: Shape

    static let shortFiles = Rule.perFile("no file is longer than 400 lines") { file in
        guard file.lines.count > 400 else { return [] }
        return [Finding(file, line: 401, "\(file.lines.count) lines: give the second half a name of its own")]
    }

    static let shortLines = Rule.perLine("no line is longer than 120 columns", of: \.lines) { line in
        line.count > 120 ? "the line has \(line.count) columns: break it" : nil
    }

    static let cleanLines = Rule.perLine("no line ends in white space", of: \.lines) { line in
        line.utf8.last.map { [0x20, 0x09, 0x0d].contains($0) } == true ? "white space at the end of the line" : nil
    }

    static let noTabs = Rule.perLine("Swift is indented by spaces", of: \.lines, where: \.isSwift) { line in
        line.utf8.contains(0x09) ? "a tab: write spaces, or \\t in a literal" : nil
    }

    static let oneFinalNewline = Rule.perFile("a file ends in one newline") { file in
        let isRight = file.text.utf8.last == 0x0a && file.text.utf8.dropLast().last != 0x0a
        return isRight ? [] : [Finding(file, line: max(file.lines.count, 1), "end the file in exactly one newline")]
    }

    static let noMarks = Rule.perFile("nothing is marked as unfinished") { file in
        zip(file.code, file.comments).enumerated().compactMap { index, views in
            let mark = (views.0.words + views.1.words).first { ["TODO", "FIXME", "XXX"].contains($0) }
            return mark.map { Finding(file, line: index + 1, "\($0): finish it, or open an issue") }
        }
    }

    // MARK: Language

    static let noPlatformConditions = Rule.perLine("nothing depends on the platform", where: \.isSwift) { line in
        let isCondition = line.contains("#if") || line.contains("#elseif")
        return isCondition && line.calls("os") ? "#if os: the package is for Linux, a platform would be a file" : nil
    }

    static let noForce = Rule.perLine("nothing is forced", where: \.isSwift) { line in
        if line.contains("try!") { return "try!: throw, or say why it cannot fail in a precondition" }
        return line.contains(" as!") ? "as!: cast with as?, and say what to do otherwise" : nil
    }

    static let noForeignLoops = Rule.perFile("the sources need neither Dispatch nor Foundation") { file in
        guard inSwiftSources(file) else { return [] }
        // JSON's coders are lent from what has no threads and no run loop.
        let lent = file.isUnder("Sources/AsyncIOHTTP/JSON") ? "FoundationEssentials" : nil
        return file.code.enumerated().compactMap { index, line in
            let words = line.words
            if words.contains("DispatchQueue") {
                return Finding(file, line: index + 1, "DispatchQueue: the loop is the only queue")
            }
            guard let keyword = words.firstIndex(of: "import") else { return nil }
            let foreign = words[keyword...].first {
                ["Dispatch", "Foundation", "FoundationEssentials"].contains($0) && $0 != lent
            }
            return foreign.map { Finding(file, line: index + 1, "import \($0): it would bring its own threads") }
        }
    }

    static let finalClasses = Rule.perLine("classes are final", where: inSwiftSources) { line in
        let words = line.words
        guard let keyword = words.firstIndex(of: "class"), keyword + 1 < words.count else { return nil }
        guard !["func", "var", "let", "subscript"].contains(words[keyword + 1]) else { return nil }
        // What the descriptors of a simulated kernel have in common, as a kernel's own tables of functions.
        let bases = ["OpenDescription", "NetworkSocket", "IPSocket", "LocalSocket"]
        guard !bases.contains(words[keyword + 1]) else { return nil }
        return words[..<keyword].contains("final") ? nil : "class \(words[keyword + 1]): make it final"
    }

    static let noPrinting = Rule.perLine(
        "libraries do not print", where: { inSwiftSources($0) && !$0.isUnder("Sources/AsyncIOCommand") }
    ) { line in
        let function = ["print", "debugPrint", "Swift.print"].first(where: line.calls)
        return function.map { "\($0): report through an error, an instrument or the error handler" }
    }

    // MARK: Layers

    static let oneFileOfSPI = Rule("one file uses experimental SPI") { files in
        let users = files.filter(inSwiftSources).compactMap { firstLine(of: $0) { $0.contains("@_spi(Experimental") } }
        guard users.count != 1 else { return [] }
        if users.isEmpty { return [Finding(path: "Sources", line: 1, "no file uses the SPI: is takeover gone?")] }
        return users.map { Finding($0.file, line: $0.line, "one of \(users.count) files that use the SPI: leave one") }
    }

    static let noFeatureMacroInHeaders = Rule.perLine("no header sets a feature macro", where: \.isHeader) { line in
        line.words.contains("_GNU_SOURCE") ? "_GNU_SOURCE in a header changes Glibc's module for importers" : nil
    }

    static let oneReaderOfErrno = Rule.perLine(
        "errno is read in SystemCall.swift alone",
        where: { inSwiftSources($0) && $0.path != "Sources/AsyncIOKernel/SystemCall.swift" }
    ) { line in
        line.words.contains("errno") ? "errno: go through SystemCall, which reads it in time and knows EINTR" : nil
    }

    static let fewResumers = Rule("continuations are resumed in few places") { files in
        let resumers = files.filter(inSwiftSources).compactMap { firstLine(of: $0) { $0.contains(".resume(") } }
        let strangers = resumers.filter { filesThatResumeContinuations[$0.file.path] == nil }.map {
            Finding($0.file, line: $0.line, "resumes a continuation, and is not among filesThatResumeContinuations")
        }
        let idle = filesThatResumeContinuations.keys.sorted().filter { path in
            !resumers.contains { $0.file.path == path }
        }
        return strangers
            + idle.map { Finding(path: $0, line: 1, "resumes nothing, and is among filesThatResumeContinuations") }
    }

    static let floorsPointDown = Rule.perFile("no target imports what stands above it") { file in
        guard let target = file.target, file.isSwift else { return [] }
        guard let floor = floors[target] else { return [Finding(file, line: 1, "\(target) has no floor: give it one")] }
        return file.code.enumerated().compactMap { index, line in
            let words = line.words
            guard let keyword = words.firstIndex(of: "import") else { return nil }
            let module = words[keyword...].dropFirst().first { $0.contains("AsyncIO") || floors[$0] != nil }
            guard let module, floors[module].map({ $0 < floor }) != true else { return nil }
            return Finding(file, line: index + 1, "\(target) (floor \(floor)) imports \(module), which is not below it")
        }
    }

    // MARK: Tests and names

    static let noSleepsInTests = Rule.perFile("tests do not wait by sleeping") { file in
        guard file.isUnder("Tests") else { return [] }
        let functions = ["Task.sleep", "Thread.sleep", "sleep", "usleep", "nanosleep"]
        return zip(file.code, file.comments).enumerated().compactMap { index, views in
            guard let function = functions.first(where: views.0.calls) else { return nil }
            let reason = views.1.firstRange(of: "// sleeps:").map { views.1[$0.upperBound...] }
            guard reason?.contains(where: { !$0.isWhitespace }) != true else { return nil }
            return Finding(file, line: index + 1, "\(function): wait for the event, or say why in // sleeps: <reason>")
        }
    }

    static let honestNames = Rule("files and folders are named after what they hold") { files in
        let empty = ["Utility", "Utilities", "Util", "Utils", "Helper", "Helpers", "Manager", "Managers", "Impl"]
        return files.flatMap { file in
            file.path.split(separator: "/").compactMap { component in
                let word = capitalizedWords(component).first { (empty + ["Implementation"]).contains($0) }
                return word.map { Finding(file, line: 1, "\($0) in \(component) says nothing: name what it holds") }
            }
        }
    }
}

private let inSwiftSources: @Sendable (SourceFile) -> Bool = { $0.isUnder("Sources") && $0.isSwift }

private func firstLine(
    of file: SourceFile, where predicate: (String) -> Bool
) -> (file: SourceFile, line: Int)? {
    file.code.firstIndex(where: predicate).map { (file, $0 + 1) }
}

/// The words of a name in camel case: `DNSManager.swift` is DNS, Manager, Swift.
private func capitalizedWords(_ name: Substring) -> [String] {
    let characters = Array(name)
    var words = [""]
    for (index, character) in characters.enumerated() {
        let endsCapitals = index + 1 < characters.count && characters[index + 1].isLowercase
        let follows = index > 0 && characters[index - 1].isUppercase && !endsCapitals
        if !character.isLetter || character.isUppercase && !follows { words.append("") }
        if character.isLetter { words[words.count - 1].append(character) }
    }
    // People also write them small.
    return words.map { $0.prefix(1).uppercased() + $0.dropFirst() }
}
