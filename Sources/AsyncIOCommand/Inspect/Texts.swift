import AsyncIOInspection

/// How tasks and times are put for people.
enum Texts {
    /// A number with marks for the thousands.
    static func count(_ number: some BinaryInteger) -> String {
        let digits = Array(String(number))
        var text = ""
        for (index, digit) in digits.enumerated() {
            let left = digits.count - index
            if index > 0 && left % 3 == 0 && digits[index - 1] != "-" { text.append(",") }
            text.append(digit)
        }
        return text
    }

    static func count(_ number: Int, _ thing: String) -> String { "\(count(number)) \(thing)\(number == 1 ? "" : "s")" }

    /// A share, in percent.
    static func percent(_ part: Duration, of whole: Duration) -> String {
        guard whole > .zero else { return "0 %" }
        return "\(Int(exactly: (part / whole * 100).rounded()) ?? 0) %"
    }

    /// Text of the process's, as it may stand on a terminal.
    static func clean(_ text: String) -> String {
        text.utf8.allSatisfy { (0x20..<0x7f).contains($0) } ? text : CleanText(text).description
    }

    // MARK: Tasks

    /// What a task is called, without its number.
    static func name(of task: TaskView) -> String {
        let label = task.label
        return String(label.prefix(label.count - "\(task.id)".count - 2))
    }
}

/// Columns of a terminal.
enum Columns {
    /// How many columns a text takes.
    static func width(of text: String) -> Int {
        if text.utf8.allSatisfy({ $0 < 0x80 }) { return text.utf8.count }
        return text.reduce(0) { $0 + width(of: $1) }
    }

    private static func width(of character: Character) -> Int {
        guard let first = character.unicodeScalars.first else { return 0 }
        if first.isMark || first.properties.generalCategory == .format { return 0 }
        return switch first.value {
        // East Asian wide letters, and pictures.
        case 0x1100...0x115f, 0x2e80...0xa4cf, 0xac00...0xd7a3, 0xf900...0xfaff, 0xfe30...0xfe6f, 0xff00...0xff60,
            0xffe0...0xffe6, 0x1f300...0x1faff, 0x20000...0x3fffd:
            2
        default: 1
        }
    }

    /// A text in so many columns, cut off or filled up.
    static func fit(_ text: String, _ width: Int, right: Bool = false) -> String {
        let cut = cut(text, width)
        let filling = String(repeating: " ", count: max(width - Self.width(of: cut), 0))
        return right ? filling + cut : cut + filling
    }

    /// A text in at most so many columns.
    static func cut(_ text: String, _ width: Int) -> String {
        guard width > 0 else { return "" }
        if Self.width(of: text) <= width { return text }
        var short = ""
        var left = width - 1
        for character in text {
            left -= Self.width(of: character)
            if left < 0 { break }
            short.append(character)
        }
        return short + "…"
    }
}
