/// What a function is called, for people: made from what the demangler says of it.
///
/// `(1) await resume partial function for closure #1 () async -> () in Chat.Room.send(Swift.String, to: Swift.Int)
/// async throws -> ()` is `closure #1 in Chat.Room.send(_:to:)`.
struct FunctionName: Equatable {
    /// The name, with the labels of its parameters.
    var text = ""
    /// The module that it, or the function around it, stands in; empty where that is not known.
    var module = ""
    var origin = Origin.written

    enum Origin { case written, thunk, runtime }

    init(demangled: String) {
        var rest = demangled[...]
        for suffix in [" with unmangled suffix ", " in conformance "] {
            if let range = rest.firstRange(of: suffix) { rest = rest[..<range.lowerBound] }
        }
        strip(&rest)
        text = String(rest)
        guard origin != .runtime, let short = FunctionNameParser(rest).name() else { return }
        text = short.text
        module = short.module
    }

    /// Takes away what says how the compiler came by the function.
    private mutating func strip(_ rest: inout Substring) {
        while true {
            if let wrapper = Self.wrappers.first(where: rest.hasPrefix) {
                rest = rest.dropFirst(wrapper.count)
            } else if let thunk = Self.thunks.first(where: rest.hasPrefix) {
                origin = .thunk
                rest = rest.dropFirst(thunk.count)
            } else if Self.helpers.contains(where: rest.hasPrefix) {
                return origin = .runtime
            } else if let after = Self.specialized(rest) ?? Self.part(rest) {
                rest = after
            } else {
                return
            }
        }
    }

    private static let wrappers = ["async function pointer to ", "merged ", "outlined ", "distributed thunk "]
    /// Each stands before the function that it leads to.
    private static let thunks = [
        "partial apply forwarder for ", "partial apply for ", "thunk for ", "dispatch thunk of ", "curry thunk of ",
        "protocol witness for ", "vtable thunk for ", "identity thunk of ",
    ]
    /// What leads to no function by name; the runtime itself, which is C++; and what suspends in the standard library.
    private static let helpers = [
        "reabstraction thunk ", "partial apply forwarder", "_Z", "Swift.withUnsafe", "Swift.withChecked", "Swift._with",
        "Swift.withTask", "Swift.withThrowingTask", "Swift.withDiscardingTask", "Swift.withThrowingDiscardingTask",
    ]
    private static let parts = ["await resume partial function for ", "suspend resume partial function for "]

    /// `(1) await resume partial function for f`: asynchronous functions are cut into parts at each of their awaits.
    private static func part(_ text: Substring) -> Substring? {
        guard text.hasPrefix("("), let close = text.firstIndex(of: ")"),
            text[..<close].dropFirst().allSatisfy(\.isNumber)
        else { return nil }
        let after = text[close...].dropFirst(2)
        return parts.first(where: after.hasPrefix).map { after.dropFirst($0.count) }
    }

    /// `generic specialization <Swift.Int> of f`.
    private static func specialized(_ text: Substring) -> Substring? {
        guard let open = text.firstIndex(of: "<"), text[..<open].hasSuffix("specialization ") else { return nil }
        return text.firstRange(of: "> of ").map { text[$0.upperBound...] }
    }
}

/// Reads `closure #1 () -> () in Module.Type.function<A>(label: Type) async throws -> Type`.
struct FunctionNameParser {
    private let bytes: [UInt8]

    init(_ text: Substring) { bytes = Array(text.utf8) }

    /// Nil if it is nothing that is understood.
    func name() -> (text: String, module: String)? {
        var names: [String] = []
        var module = ""
        for segment in segments() {
            guard let name = Self.name(of: bytes[segment]) else { return nil }
            names.append(name.text)
            module = name.module
        }
        return names.isEmpty ? nil : (names.joined(separator: " in "), module)
    }

    /// The parts between ` in `, where it stands in no brackets.
    private func segments() -> [Range<Int>] {
        var result: [Range<Int>] = []
        var begin = 0
        var scan = BracketScan()
        for index in bytes.indices {
            if scan.depth == 0, bytes[index...].starts(with: " in ".utf8) {
                result.append(begin..<index)
                begin = index + 4
            }
            scan.pass(bytes[index])
        }
        result.append(begin..<bytes.count)
        return result.filter { !$0.isEmpty }
    }

    private static func name(of segment: ArraySlice<UInt8>) -> (text: String, module: String)? {
        if let closure = closure(segment) { return (closure, "") }
        var path: [UInt8] = []
        var extended: String?
        var rest = segment
        for prefix in ["variable initialization expression of ", "static "] where rest.starts(with: prefix.utf8) {
            rest = rest.dropFirst(prefix.utf8.count)
        }
        while let byte = rest.first {
            switch byte {
            case UInt8(ascii: "("):
                guard let group = group(&rest) else { return nil }
                let word = group.split(separator: UInt8(ascii: " "), maxSplits: 1).first ?? []
                if word.elementsEqual("extension".utf8) && path.isEmpty {
                    extended = String(decoding: group.split(separator: UInt8(ascii: " ")).last ?? [], as: UTF8.self)
                    if rest.first == UInt8(ascii: ":") { rest = rest.dropFirst() }
                } else if path.isEmpty || path.last == UInt8(ascii: ".") {
                    // A private name: `(name in _0123)`.
                    path += word
                } else {
                    return finished(path, labels(of: group), extended)
                }
            case UInt8(ascii: "<"):
                guard group(&rest) != nil else { return nil }
            case UInt8(ascii: " "):
                // `f #1 (Type)`, `getter : Type`, `== infix(Type, Type)`.
                rest = rest.dropFirst()
                if rest.starts(with: "infix(".utf8) || rest.starts(with: ": ".utf8) {
                    return finished(path, nil, extended)
                }
                if rest.first != UInt8(ascii: "#") { continue }
                rest = rest.drop { $0 != UInt8(ascii: " ") }
            default:
                path.append(byte)
                rest = rest.dropFirst()
            }
        }
        return finished(path, nil, extended)
    }

    /// An extension's functions belong to the module that it stands in.
    private static func finished(
        _ path: [UInt8], _ labels: String?, _ extended: String?
    ) -> (text: String, module: String)? {
        guard !path.isEmpty else { return nil }
        let path = String(decoding: path, as: UTF8.self)
        let module = path.firstIndex(of: ".").map { String(path[..<$0]) } ?? ""
        let shown = module == "Swift" ? String(path.dropFirst("Swift.".count)) : path
        return (shown + (labels ?? ""), extended ?? module)
    }

    /// `closure #1 @Sendable () -> ()`, `implicit closure #2 …`.
    private static func closure(_ segment: ArraySlice<UInt8>) -> String? {
        let words = segment.split(separator: UInt8(ascii: " "), maxSplits: 3)
        guard let index = words.prefix(2).firstIndex(where: { $0.elementsEqual("closure".utf8) }),
            index + 1 < words.count, words[index + 1].first == UInt8(ascii: "#")
        else { return nil }
        return "closure " + String(decoding: words[index + 1], as: UTF8.self)
    }

    /// The parameters' labels, from what stands between the parentheses.
    private static func labels(of parameters: ArraySlice<UInt8>) -> String {
        var labels = ""
        var scan = BracketScan()
        var begin = parameters.startIndex
        func label(_ parameter: ArraySlice<UInt8>) -> String {
            let parameter = parameter.drop { $0 == UInt8(ascii: " ") }
            let name = parameter.prefix { $0 != UInt8(ascii: ":") && $0 != UInt8(ascii: " ") }
            // A type has brackets before it has a colon: `[Swift.Int : Swift.Int]`.
            guard name.endIndex < parameter.endIndex, parameter[name.endIndex] == UInt8(ascii: ":") else { return "_:" }
            return String(decoding: name, as: UTF8.self) + ":"
        }
        for index in parameters.indices {
            if scan.depth == 0, parameters[index] == UInt8(ascii: ",") {
                labels += label(parameters[begin..<index])
                begin = index + 1
            }
            scan.pass(parameters[index])
        }
        return "(" + labels + (parameters.isEmpty ? "" : label(parameters[begin...])) + ")"
    }

    /// What stands in the brackets at the beginning, which are passed over.
    private static func group(_ rest: inout ArraySlice<UInt8>) -> ArraySlice<UInt8>? {
        var scan = BracketScan()
        for index in rest.indices {
            scan.pass(rest[index])
            guard scan.depth == 0 else { continue }
            let group = rest[rest.startIndex + 1..<index]
            rest = rest[(index + 1)...]
            return group
        }
        return nil
    }
}

/// Counts brackets; the arrow's is none.
struct BracketScan {
    var depth = 0
    private var previous: UInt8 = 0

    mutating func pass(_ byte: UInt8) {
        switch byte {
        case UInt8(ascii: "("), UInt8(ascii: "["), UInt8(ascii: "<"), UInt8(ascii: "{"): depth += 1
        case UInt8(ascii: ")"), UInt8(ascii: "]"), UInt8(ascii: "}"): depth -= 1
        case UInt8(ascii: ">"): if previous != UInt8(ascii: "-") { depth -= 1 }
        default: break
        }
        previous = byte
    }
}
