import Foundation

/// One file of the repository, and three ways to look at its lines.
struct SourceFile: Sendable {
    /// From the root of the repository: `Sources/AsyncIOKernel/IOError.swift`.
    let path: String
    let text: String
    /// The lines as they are.
    let lines: [String]
    /// The lines without comments and without what stands in string literals.
    let code: [String]
    /// The lines' comments alone.
    let comments: [String]

    init(path: String, text: String) {
        self.path = path
        self.text = text
        var lexer = Lexer(text, knowsCharacterLiterals: !path.hasSuffix(".swift"))
        lexer.run()
        lines = Self.lines(Array(text.utf8))
        code = Self.lines(lexer.code)
        comments = Self.lines(lexer.comments)
    }

    var isSwift: Bool { path.hasSuffix(".swift") }
    var isHeader: Bool { path.hasSuffix(".h") }
    /// Whether the rules for text apply; of other files only the name is looked at.
    var isSource: Bool { Self.extensions.contains { path.hasSuffix($0) } }

    func isUnder(_ folder: String) -> Bool { path.hasPrefix(folder + "/") }

    /// Which target a file of `Sources` belongs to.
    var target: String? {
        let parts = path.split(separator: "/")
        return parts.count > 2 && parts[0] == "Sources" ? String(parts[1]) : nil
    }

    static let extensions = [".swift", ".c", ".h"]

    private static func lines(_ bytes: [UInt8]) -> [String] {
        var lines = bytes.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
        if lines.last?.isEmpty == true { lines.removeLast() }
        return lines.map { String(decoding: $0, as: UTF8.self) }
    }
}

/// The repository that this file stands in.
enum Repository {
    static let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent()

    /// Every file that people wrote, by path.
    static let files: [SourceFile] = ["Sources", "Tests", "Examples", "Benchmarks"].flatMap(files(under:))
        .sorted { $0.path < $1.path }

    private static func files(under folder: String) -> [SourceFile] {
        // Hidden folders hold what builds leave behind.
        let found = FileManager.default.enumerator(
            at: root.appending(path: folder), includingPropertiesForKeys: [.isRegularFileKey],
            options: [.skipsHiddenFiles])
        let urls = found?.compactMap { $0 as? URL } ?? []
        let prefix = root.path(percentEncoded: false).count
        return urls.compactMap { url in
            guard (try? url.resourceValues(forKeys: [.isRegularFileKey]).isRegularFile) == true else { return nil }
            let full = url.path(percentEncoded: false)
            let path = String(full.dropFirst(prefix).drop { $0 == "/" })
            guard SourceFile.extensions.contains(where: full.hasSuffix) else { return SourceFile(path: path, text: "") }
            guard let data = try? Data(contentsOf: url) else { return nil }
            return SourceFile(path: path, text: String(decoding: data, as: UTF8.self))
        }
    }
}
