/// One thing that the sources of this package are held to: a pure function from files to what is wrong in them.
struct Rule: Sendable, CustomStringConvertible {
    let name: String
    let check: @Sendable ([SourceFile]) -> [Finding]

    var description: String { name }

    init(_ name: String, check: @escaping @Sendable ([SourceFile]) -> [Finding]) {
        self.name = name
        self.check = check
    }

    /// A rule that looks at one file at a time.
    static func perFile(_ name: String, check: @escaping @Sendable (SourceFile) -> [Finding]) -> Rule {
        Rule(name) { files in files.filter(\.isSource).flatMap(check) }
    }

    /// A rule that looks at one line at a time, and says what is wrong with it.
    static func perLine(
        _ name: String, of view: @escaping @Sendable (SourceFile) -> [String] = \.code,
        where applies: @escaping @Sendable (SourceFile) -> Bool = { _ in true },
        check: @escaping @Sendable (String) -> String?
    ) -> Rule {
        perFile(name) { file in
            guard applies(file) else { return [] }
            return view(file).enumerated().compactMap { index, line in
                check(line).map { Finding(file, line: index + 1, $0) }
            }
        }
    }
}

/// A place where a rule is broken.
struct Finding: Sendable, Hashable, CustomStringConvertible {
    let path: String
    let line: Int
    let message: String

    init(_ file: SourceFile, line: Int, _ message: String) {
        self.init(path: file.path, line: line, message)
    }

    init(path: String, line: Int, _ message: String) {
        self.path = path
        self.line = line
        self.message = message
    }

    /// In the form that editors and compilers understand.
    var description: String { "\(path):\(line): \(message)" }
}

/// Looking at a line of code.
extension String {
    /// The identifiers and keywords of a line, in order.
    var words: [String] {
        split { !$0.isWordCharacter }.map(String.init)
    }

    /// Whether a function of this name is called, by its own name and not as a method of something.
    func calls(_ function: String) -> Bool {
        ranges(of: "\(function)(").contains { range in
            guard let before = self[..<range.lowerBound].last else { return true }
            return !before.isWordCharacter && before != "."
        }
    }
}

extension Character {
    fileprivate var isWordCharacter: Bool { isLetter || isNumber || self == "_" }
}
