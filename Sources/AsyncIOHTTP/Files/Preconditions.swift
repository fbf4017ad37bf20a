#if HTTP
import HTTPTypes

/// What is known of a resource's state, and what a request's conditions say of it (RFC 9110 section 13).
struct ResourceState {
    var tag: EntityTag?
    var modified: HTTPDate?
    /// Whether the moment of the last change tells all states apart: if it was long enough ago.
    var datesAreStrong = false

    enum Verdict: Equatable {
        case goOn
        /// 304: what the client has is what it would get.
        case notModified
        /// 412.
        case failed
    }

    /// Looks at the conditions in the order of RFC 9110 section 13.2.2; `If-Range` has its own function.
    func verdict(on method: HTTPRequest.Method, _ fields: HTTPFields, now: HTTPDate) -> Verdict {
        if let wanted = fields[.ifMatch] {
            if !matches(wanted, { $0.isStrongly($1) }) { return .failed }
        } else if let date = date(fields[.ifUnmodifiedSince], now), let modified, modified > date {
            return .failed
        }
        let isReading = method == .get || method == .head
        if let known = fields[.ifNoneMatch] {
            if matches(known, { $0.value == $1.value }) { return isReading ? .notModified : .failed }
        } else if isReading, let date = date(fields[.ifModifiedSince], now), let modified, modified <= date {
            return .notModified
        }
        return .goOn
    }

    /// Whether a part may be sent to a client that has another one: if that is of the same state (RFC 9110 section
    /// 13.1.5), or nothing was said of it.
    func allowsRange(_ fields: HTTPFields, now: HTTPDate) -> Bool {
        guard let condition = fields[.ifRange] else { return true }
        if let tag, let wanted = EntityTag(parsing: condition) { return tag.isStrongly(wanted) }
        guard datesAreStrong, let modified, let date = HTTPDate(condition, now: now) else { return false }
        return date == modified
    }

    private func matches(_ list: String, _ areEqual: (EntityTag, EntityTag) -> Bool) -> Bool {
        if list.filter({ $0 != " " }) == "*" { return true }
        guard let tag, let tags = EntityTag.list(list) else { return false }
        return tags.contains { areEqual($0, tag) }
    }

    private func date(_ text: String?, _ now: HTTPDate) -> HTTPDate? { text.flatMap { HTTPDate($0, now: now) } }
}
#endif
