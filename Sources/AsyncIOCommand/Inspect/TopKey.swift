/// What somebody presses.
enum TopKey: Equatable {
    case letter(Character)
    case up, down, pageUp, pageDown, home, end
    case enter, escape, backspace
    /// Ctrl-Z.
    case suspend

    /// The keys in what a terminal has sent: letters, and escape sequences for the others.
    static func keys(in bytes: [UInt8]) -> [TopKey] {
        var keys: [TopKey] = []
        var rest = String(decoding: bytes, as: UTF8.self).unicodeScalars.map(Character.init)[...]
        while let first = rest.popFirst() {
            switch first {
            case "\u{1b}":
                guard let kind = rest.first, kind == "[" || kind == "O" else {
                    keys.append(.escape)
                    continue
                }
                rest.removeFirst()
                // Parameters, up to the letter that says which it is (ECMA-48).
                let parameters = rest.prefix { $0.isASCII && ($0.isNumber || $0 == ";") }
                rest = rest.dropFirst(parameters.count)
                guard let letter = rest.popFirst() else { continue }
                if let key = key(letter, String(parameters)) { keys.append(key) }
            case "\r", "\n": keys.append(.enter)
            case "\u{7f}", "\u{08}": keys.append(.backspace)
            case "\u{1a}": keys.append(.suspend)
            case _ where (first.asciiValue ?? 0x20) < 0x20: break
            default: keys.append(.letter(first))
            }
        }
        return keys
    }

    private static func key(_ letter: Character, _ parameters: String) -> TopKey? {
        switch (letter, parameters) {
        case ("A", _): .up
        case ("B", _): .down
        case ("H", _), ("~", "1"), ("~", "7"): .home
        case ("F", _), ("~", "4"), ("~", "8"): .end
        case ("~", "5"): .pageUp
        case ("~", "6"): .pageDown
        default: nil
        }
    }
}
