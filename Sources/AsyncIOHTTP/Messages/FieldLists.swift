#if HTTP
import HTTPTypes

extension HTTPFields {
    /// The members of a field that is a list of tokens: several lines count as one, separated by commas.
    func list(_ name: HTTPField.Name) -> [String] {
        self[values: name].flatMap { $0.split(separator: ",").map { $0.trimmed } }.filter { !$0.isEmpty }
    }

    /// Whether a token stands in a list, whatever its case.
    func lists(_ token: String, in name: HTTPField.Name) -> Bool {
        list(name).contains { $0.lowercased() == token }
    }
}

extension StringProtocol {
    /// Without the blanks and tabs around it.
    var trimmed: String {
        let isBlank: (Character) -> Bool = { $0 == " " || $0 == "\t" }
        let start = drop(while: isBlank)
        guard let last = start.lastIndex(where: { !isBlank($0) }) else { return "" }
        return String(start[...last])
    }
}
#endif
