#if HTTP
/// A pattern taken apart: `/rooms/:id/*`.
struct RoutePattern {
    enum Segment: Hashable {
        case literal(Substring)
        case parameter
    }

    let text: String
    private(set) var segments: [Segment] = []
    /// The parameters' names, in their order; the wildcard's is the last.
    private(set) var names: [String] = []
    /// Whether it ends in `*`.
    private(set) var hasWildcard = false

    init(_ text: String) throws(RoutingError) {
        self.text = text
        guard text.first == "/" else { throw .invalidPattern(text, reason: "it has to begin with /") }
        let parts = text.dropFirst().split(separator: "/", omittingEmptySubsequences: false)
        for (index, part) in parts.enumerated() {
            let isLast = index == parts.count - 1
            switch part.first {
            case "*":
                guard isLast else { throw .invalidPattern(text, reason: "what follows * is never looked at") }
                hasWildcard = true
                try name(part.count > 1 ? part.dropFirst() : "*")
            case ":":
                guard part.count > 1 else { throw .invalidPattern(text, reason: "a parameter needs a name: :id") }
                try name(part.dropFirst())
                segments.append(.parameter)
            default:
                if part == "." || part == ".." || part.contains(where: { $0 == "?" || $0 == "\0" }) {
                    throw .invalidPattern(text, reason: "no request's path has a part \(part)")
                }
                guard !part.isEmpty || isLast else {
                    throw .invalidPattern(text, reason: "an empty part is only possible at the end")
                }
                segments.append(.literal(part))
            }
        }
    }

    private mutating func name(_ name: Substring) throws(RoutingError) {
        guard !names.contains(where: { $0 == name }) else {
            throw .invalidPattern(text, reason: "two parts are called \(name)")
        }
        names.append(String(name))
    }
}
#endif
