/// What a function is called, for people: from what the demangler says.
struct FunctionName: Equatable {
    var text: String
    /// Whether it is a function that somebody wrote, and not one that the compiler made between two of those.
    var isUsers = true

    init(demangled: String) {
        var rest = demangled[...]
        // An asynchronous function is cut into parts at each of its awaits: "(1) await resume partial function for f".
        while true {
            if let after = Self.without(Self.wrappers, rest) {
                rest = after
            } else if rest.hasPrefix("("), let close = rest.firstIndex(of: ")"),
                rest[rest.index(after: rest.startIndex)..<close].allSatisfy(\.isNumber),
                let after = Self.without(Self.parts, rest[rest.index(after: close)...])
            {
                rest = after
            } else {
                break
            }
        }
        for thunk in Self.thunks where rest.hasPrefix(thunk) { isUsers = false }
        text = String(rest)
    }

    private static let parts = [
        " await resume partial function for ", " suspend resume partial function for ",
        " previous partial function for ",
    ]
    private static let wrappers = ["async function pointer to ", "merged ", "outlined "]
    private static let thunks = [
        "reabstraction thunk ", "partial apply forwarder", "partial apply for ", "thunk for ", "protocol witness for ",
        "dispatch thunk of ", "curry thunk of ",
        // What the runtime, which is C++, ends tasks with, and what the standard library suspends them in.
        "_ZL", "_ZN", "Swift.withUnsafe", "Swift.withChecked", "Swift._with",
    ]

    private static func without(_ prefixes: [String], _ text: Substring) -> Substring? {
        for prefix in prefixes where text.hasPrefix(prefix) { return text.dropFirst(prefix.count) }
        return nil
    }
}
