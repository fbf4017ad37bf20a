#if HTTP
/// A request's path in its parts, each decoded by itself: a slash that came as `%2F` is part of a name, and never
/// divides anything.
struct PathSegments {
    /// As they came.
    private let path: Substring
    /// Where each of them begins in the path.
    private var starts: [Substring.Index] = []
    /// What they mean.
    private(set) var decoded: [Substring] = []

    var count: Int { decoded.count }

    /// Throws ``HTTPError`` (400) for what is malformed, for zero bytes, and for `.` and `..`: a client has to resolve
    /// them before it asks (RFC 3986 section 5.2.4), also if they are encoded, and whoever does not means no good.
    init(_ path: Substring) throws(HTTPError) {
        self.path = path
        guard path.utf8.first == UInt8(ascii: "/") else {
            throw HTTPError(.badRequest, "the path \(path.prefix(100)) does not begin with /")
        }
        var start = path.utf8.index(after: path.startIndex)
        while true {
            let end = path.utf8[start...].firstIndex(of: UInt8(ascii: "/")) ?? path.endIndex
            guard let segment = PercentCoding.text(path[start..<end]) else {
                throw HTTPError(
                    .badRequest, "\(path.prefix(100)): encode UTF-8 as %XX, and a percent sign as %25")
            }
            guard segment != ".", segment != "..", !segment.utf8.contains(0) else {
                throw HTTPError(.badRequest, "\(path.prefix(100)): no part of a path may be . or .., or have a zero")
            }
            starts.append(start)
            decoded.append(segment)
            guard end != path.endIndex else { return }
            start = path.utf8.index(after: end)
        }
    }

    /// The path from a part on, as it came.
    func rest(from index: Int) -> Substring { path[starts[index]...] }
}
#endif
