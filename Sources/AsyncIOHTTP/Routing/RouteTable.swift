#if HTTP
import HTTPTypes

/// The routes, as a tree of their patterns' parts: what one request asks for is found in one walk, which visits no
/// node twice.
struct RouteTable: Sendable {
    struct Route: Sendable {
        let pattern: String
        let names: [String]
        let handler: HTTPServer.Handler
    }

    /// What a request has asked for.
    enum Finding {
        case route(Route, values: [Substring])
        /// Only with other methods.
        case methods([HTTPRequest.Method])
        case nothing
    }

    /// The routes that end at one place: one for each method, and one for all others.
    private struct Methods: Sendable {
        var routes: [HTTPRequest.Method: Route] = [:]
        var any: Route?

        func route(for method: HTTPRequest.Method) -> Route? {
            routes[method] ?? (method == .head ? routes[.get] : nil) ?? any
        }
    }

    private struct Node: Sendable {
        /// The next part of the path, and the node behind it.
        var literals: [Substring: Int] = [:]
        var parameter: Int?
        /// The routes that end here, and those that end in a wildcard here.
        var end = Methods()
        var wildcard = Methods()
    }

    private var nodes = [Node()]
    /// All routes' methods.
    private(set) var methods: Set<HTTPRequest.Method> = []

    /// Adds a route: for all methods that have none of their own, if no method is given.
    mutating func add(
        _ method: HTTPRequest.Method?, _ pattern: RoutePattern, _ handler: @escaping HTTPServer.Handler
    ) throws(RoutingError) {
        var place = 0
        for segment in pattern.segments { place = child(of: place, segment) }
        let route = Route(pattern: pattern.text, names: pattern.names, handler: handler)
        let path: WritableKeyPath<Node, Methods> = pattern.hasWildcard ? \.wildcard : \.end
        let existing = method.map { nodes[place][keyPath: path].routes[$0] } ?? nodes[place][keyPath: path].any
        if let existing {
            throw .conflict(method: method, pattern: pattern.text, existing: existing.pattern)
        }
        if let method {
            nodes[place][keyPath: path].routes[method] = route
            methods.insert(method)
        } else {
            nodes[place][keyPath: path].any = route
        }
    }

    private mutating func child(of place: Int, _ segment: RoutePattern.Segment) -> Int {
        let known: Int? =
            switch segment {
            case .literal(let text): nodes[place].literals[text]
            case .parameter: nodes[place].parameter
            }
        if let known { return known }
        nodes.append(Node())
        let new = nodes.count - 1
        switch segment {
        case .literal(let text): nodes[place].literals[text] = new
        case .parameter: nodes[place].parameter = new
        }
        return new
    }

    /// Finds the route for a path, which is given in its parts: as they came, for what a wildcard stands for, and
    /// decoded.
    func find(_ method: HTTPRequest.Method, _ path: PathSegments) -> Finding {
        var walk = Walk(method: method, path: path)
        if let route = find(from: 0, 0, &walk) { return .route(route, values: walk.values) }
        return walk.others.isEmpty ? .nothing : .methods(Self.inOrder(walk.others))
    }

    private struct Walk {
        let method: HTTPRequest.Method
        let path: PathSegments
        var values: [Substring] = []
        var others: Set<HTTPRequest.Method> = []
    }

    /// What is said literally goes before a parameter, and that before a wildcard; a way that leads nowhere is walked
    /// back.
    private func find(from place: Int, _ index: Int, _ walk: inout Walk) -> Route? {
        if index == walk.path.count { return route(of: nodes[place].end, &walk) }
        let segment = walk.path.decoded[index]
        if let next = nodes[place].literals[segment], let route = find(from: next, index + 1, &walk) { return route }
        // An empty part is no value.
        if let next = nodes[place].parameter, !segment.isEmpty {
            walk.values.append(segment)
            if let route = find(from: next, index + 1, &walk) { return route }
            walk.values.removeLast()
        }
        guard let route = route(of: nodes[place].wildcard, &walk) else { return nil }
        walk.values.append(walk.path.rest(from: index))
        return route
    }

    private func route(of methods: Methods, _ walk: inout Walk) -> Route? {
        if let route = methods.route(for: walk.method) { return route }
        walk.others.formUnion(methods.routes.keys)
        return nil
    }

    /// The methods as `Allow` tells them: the usual ones first, HEAD with GET, and OPTIONS, which is always answered.
    static func inOrder(_ methods: Set<HTTPRequest.Method>) -> [HTTPRequest.Method] {
        let all = methods.union(methods.contains(.get) ? [.head, .options] : [.options])
        let usual: [HTTPRequest.Method] = [.get, .head, .post, .put, .patch, .delete]
        let others = all.subtracting(usual).map(\.rawValue).sorted().compactMap { HTTPRequest.Method($0) }
        return usual.filter(all.contains) + others
    }
}
#endif
