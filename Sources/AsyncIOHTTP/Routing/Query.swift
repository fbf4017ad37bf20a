#if HTTP
/// Names with values, as a query has them, and a form (`application/x-www-form-urlencoded` of the URL standard): in
/// their order, and as often as they came.
///
/// ```swift
/// let page = try request.query["page"]            // the first, or nil
/// let tags = try request.query.values(of: "tag")  // all of ?tag=a&tag=b
/// ```
public struct Query: Sendable, Hashable, RandomAccessCollection {
    /// A name and its value.
    public struct Item: Sendable, Hashable {
        /// Before the equals sign, decoded.
        public let name: String
        /// Behind it, decoded. Empty also if there is no equals sign.
        public let value: String

        /// An item, decoded.
        public init(name: String, value: String) {
            self.name = name
            self.value = value
        }
    }

    private var items: [Item]

    /// Takes a text apart at `&` and at the first `=` of each part; `+` is a space, and percent-encoding is undone.
    /// Empty parts are left out.
    ///
    /// Throws ``HTTPError`` (400) for a `%` without two digits, for bytes that are no UTF-8, and for more parts than
    /// the limit.
    public init(_ text: some StringProtocol, limit: Int = 1_000) throws(HTTPError) {
        items = []
        // By bytes: a sign that joins itself to the one before would hide it.
        for bytes in Substring(text).utf8.split(separator: UInt8(ascii: "&")) {
            let part = Substring(bytes)
            guard items.count < limit else { throw HTTPError(.badRequest, "more than \(limit) names with values") }
            let equals = part.utf8.firstIndex(of: UInt8(ascii: "="))
            guard let name = PercentCoding.text(part[..<(equals ?? part.endIndex)], plus: .space),
                let value = PercentCoding.text(
                    equals.map { part[part.utf8.index(after: $0)...] } ?? "", plus: .space)
            else {
                throw HTTPError(
                    .badRequest, "\(part.prefix(100)): encode UTF-8 as %XX, and a percent sign as %25")
            }
            items.append(Item(name: String(name), value: String(value)))
        }
    }

    /// These items, in this order.
    public init(_ items: [Item] = []) { self.items = items }

    /// The first value of a name; nil if the name is not there.
    public subscript(_ name: String) -> String? { items.first { $0.name == name }?.value }

    /// All values of a name, in their order.
    public func values(of name: String) -> [String] { items.filter { $0.name == name }.map(\.value) }

    /// The text that means these items.
    public var encoded: String {
        items.map { "\(PercentCoding.encoded($0.name.utf8))=\(PercentCoding.encoded($0.value.utf8))" }
            .joined(separator: "&")
    }

    /// Where the first item is: 0.
    public var startIndex: Int { 0 }
    /// How many there are.
    public var endIndex: Int { items.count }
    /// An item, by its place.
    public subscript(position: Int) -> Item { items[position] }
}

extension HTTPServer.Request {
    /// The target up to its question mark, still encoded.
    public var path: Substring {
        target[..<(target.utf8.firstIndex(of: UInt8(ascii: "?")) ?? target.endIndex)]
    }

    /// The rest of it, with the question mark; empty if there is none.
    var queryText: Substring { target[path.endIndex...] }

    /// What is behind the target's question mark, decoded; empty if there is none. Throws ``HTTPError`` (400) for what
    /// is malformed: see ``Query/init(_:limit:)``.
    public var query: Query {
        get throws(HTTPError) { try Query(Substring(queryText.utf8.dropFirst())) }
    }
}
#endif
