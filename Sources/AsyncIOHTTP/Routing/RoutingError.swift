#if HTTP
public import HTTPTypes

/// What is wrong with a route, when it is registered.
public enum RoutingError: Error, Sendable, Hashable, CustomStringConvertible {
    /// Two routes would answer the same requests.
    case conflict(method: HTTPRequest.Method?, pattern: String, existing: String)
    /// A pattern that means nothing, and why.
    case invalidPattern(String, reason: String)

    /// Both routes by their names; or the pattern, and what it should be.
    public var description: String {
        switch self {
        case .conflict(let method, let pattern, let existing):
            let name = method?.rawValue ?? "any method"
            return "\(name) \(pattern) answers the same requests as \(name) \(existing): leave one of them"
        case .invalidPattern(let pattern, let reason):
            return "the pattern \(pattern): \(reason)"
        }
    }
}
#endif
