/// Text that may be shown on anybody's terminal: valid UTF-8 without control characters.
///
/// What is not UTF-8 becomes U+FFFD. Left out are the controls of ASCII and of Latin-1 (escape sequences begin with
/// them), the marks that turn the direction of writing, and more than ``mostMarks`` combining marks in a row; tabs
/// and the line ends of Unicode become spaces.
struct CleanText: Equatable, CustomStringConvertible {
    let description: String

    /// How many combining marks one letter may carry.
    static let mostMarks = 6

    init(_ bytes: [UInt8]) { self.init(String(decoding: bytes, as: UTF8.self)) }

    init(_ text: String) {
        var clean = String.UnicodeScalarView()
        var marks = 0
        for scalar in text.unicodeScalars {
            guard let scalar = Self.shown(scalar) else { continue }
            marks = scalar.isMark ? marks + 1 : 0
            if marks <= Self.mostMarks { clean.append(scalar) }
        }
        description = String(clean).trimmed
    }

    private static func shown(_ scalar: Unicode.Scalar) -> Unicode.Scalar? {
        switch scalar.properties.generalCategory {
        case .control: return scalar == "\t" ? " " : nil
        case .lineSeparator, .paragraphSeparator: return " "
        case .format: return isKept(scalar) ? scalar : nil
        default: return scalar
        }
    }

    /// Of the invisible characters only those that letters and pictures are composed with.
    private static func isKept(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.value {
        // ZERO WIDTH NON-JOINER and JOINER, and the tags of flags.
        case 0x200c, 0x200d, 0xe0020...0xe007f: true
        default: false
        }
    }
}

extension Unicode.Scalar {
    /// Whether it is shown on top of the letter before it.
    var isMark: Bool {
        switch properties.generalCategory {
        case .nonspacingMark, .enclosingMark, .spacingMark: true
        default: false
        }
    }
}

extension StringProtocol {
    /// Without spaces at both ends.
    var trimmed: String {
        var text = self[...]
        while text.first?.isWhitespace == true { text.removeFirst() }
        while text.last?.isWhitespace == true { text.removeLast() }
        return String(text)
    }

    /// The first word and what follows it.
    var firstWord: (word: String, rest: String) {
        let text = trimmed
        let word = text.prefix { !$0.isWhitespace }
        return (String(word), text.dropFirst(word.count).trimmed)
    }
}

/// The name of a person or of a room: letters, digits, `-` and `_`, of any script.
struct Name: Hashable, Sendable, CustomStringConvertible {
    let description: String
    /// What makes two names the same: neither case nor the way in which accents are composed matters.
    private let key: String

    /// Why a text is no name.
    enum Refusal: Error { case length, characters }

    init(_ text: String, upTo limit: Int) throws(Refusal) {
        // Marks count as characters too where they are not composed: nobody gets a name as high as a tower.
        guard (1...limit).contains(text.count), text.utf8.count <= 4 * limit else { throw .length }
        var marks = 0
        var hasLetterOrDigit = false
        for scalar in text.unicodeScalars {
            marks = scalar.isMark ? marks + 1 : 0
            let isLetterOrDigit = scalar.isLetterOrDigit
            guard isLetterOrDigit || scalar == "-" || scalar == "_" || (marks > 0 && marks <= 2 && hasLetterOrDigit)
            else { throw .characters }
            hasLetterOrDigit = hasLetterOrDigit || isLetterOrDigit
        }
        guard hasLetterOrDigit else { throw .characters }
        description = text
        key = text.lowercased()
    }

    /// A name that the program itself gives.
    init(known text: StaticString) {
        description = "\(text)"
        key = description.lowercased()
    }

    static func == (left: Name, right: Name) -> Bool { left.key == right.key }

    func hash(into hasher: inout Hasher) { hasher.combine(key) }
}

extension Name: Comparable {
    static func < (left: Name, right: Name) -> Bool { left.key < right.key }
}

extension Unicode.Scalar {
    fileprivate var isLetterOrDigit: Bool {
        switch properties.generalCategory {
        case .uppercaseLetter, .lowercaseLetter, .titlecaseLetter, .modifierLetter, .otherLetter, .decimalNumber: true
        default: false
        }
    }
}
