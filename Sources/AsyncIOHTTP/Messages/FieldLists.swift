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
    /// As ``trimmingOptionalSpace``, for those who keep it.
    var trimmed: String { String(Substring(self).trimmingOptionalSpace) }
}

extension Substring {
    /// Without the spaces and tabs around it (OWS of RFC 9110 section 5.6.3).
    var trimmingOptionalSpace: Substring {
        let rest = drop { $0 == " " || $0 == "\t" }
        guard let last = rest.lastIndex(where: { $0 != " " && $0 != "\t" }) else { return "" }
        return rest[...last]
    }
}
#endif
