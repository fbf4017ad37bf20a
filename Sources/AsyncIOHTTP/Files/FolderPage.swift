#if HTTP
import AsyncIO
import SystemPackage

/// A page with the names in a folder. Names are bytes that anybody may have chosen: they are escaped in the text, and
/// encoded in the links.
enum FolderPage {
    /// More is no page to read.
    static let limit = 10_000

    static func page(_ path: some StringProtocol, _ entries: [FolderEntry]) -> String {
        let isWhole = entries.count < limit
        let folders = entries.filter { $0.kind == .folder }.sorted { $0.name < $1.name }
        let others = entries.filter { $0.kind != .folder }.sorted { $0.name < $1.name }
        let lines = (folders + others).map { entry in
            let slash = entry.kind == .folder ? "/" : ""
            let bytes = entry.path.lastComponent.map { FilePath(root: nil, [$0]).pathBytes } ?? []
            // `./`: a name may have a colon.
            return "<li><a href=\"./\(PercentCoding.encoded(bytes))\(slash)\">\(escaped(entry.name))\(slash)</a></li>"
        }
        let title = escaped(path)
        return """
            <!DOCTYPE html>
            <html lang="en">
            <head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
            <title>\(title)</title></head>
            <body>
            <h1>\(title)</h1>
            <ul>
            \(path == "/" ? "" : "<li><a href=\"../\">../</a></li>\n")\(lines.joined(separator: "\n"))
            </ul>
            \(isWhole ? "" : "<p>and more</p>\n")</body>
            </html>

            """
    }

    /// A text as it stands in HTML, between tags and in quotes.
    static func escaped(_ text: some StringProtocol) -> String {
        var out = ""
        for character in text.unicodeScalars {
            switch character {
            case "&": out += "&amp;"
            case "<": out += "&lt;"
            case ">": out += "&gt;"
            case "\"": out += "&quot;"
            case "'": out += "&#39;"
            default: out.unicodeScalars.append(character)
            }
        }
        return out
    }
}
#endif
