#if HTTP
import AsyncIOLoop
import CAsyncIO
import Glibc

/// Keeps the cookies that servers set, and gives each place its own (RFC 6265).
///
/// A client without one neither keeps nor sends any. Several clients may share one. It keeps at most 50 cookies for a
/// domain, and 3,000 in all: those that were set first go first. Every method may be called from any thread.
public final class CookieJar: Sendable {
    private struct State {
        /// In the order in which they were first set.
        var cookies: [Cookie] = []
    }

    static let limitPerDomain = 50
    static let limit = 3_000
    private let state = Locked(State())
    private let now: @Sendable () -> Int64

    /// Creates an empty jar.
    public convenience init() {
        self.init {
            var time = timespec()
            unsafe clock_gettime(CLOCK_REALTIME, &time)
            return Int64(time.tv_sec)
        }
    }

    /// Creates an empty jar that asks this clock for seconds since 1970.
    init(now: @escaping @Sendable () -> Int64) { self.now = now }

    /// The cookies that have not ended, those first that were first set.
    public var cookies: [Cookie] {
        let now = now()
        return state.withLock { $0.cookies.filter { $0.expiration.map { $0 > now } ?? true } }
    }

    /// Takes what a response from a place has in its `Set-Cookie` fields. What breaks the rules is ignored, as the
    /// standard wants it; so is what came without TLS and would stand before a secure cookie (RFC 6265bis section 5.7).
    public func store(_ setCookies: [String], from url: HTTPURL) {
        if setCookies.isEmpty { return }
        let now = now()
        // As many as a browser keeps for a domain: more can only be meant to cost something.
        let new = setCookies.prefix(Self.limitPerDomain).compactMap { Cookie(setCookie: $0, from: url, at: now) }
        state.withLock { state in
            for cookie in new {
                state.cookies.removeAll { $0.expiration.map { $0 <= now } ?? false }
                if url.scheme != .https, state.cookies.contains(where: { cookie.shadows($0) }) { continue }
                Self.put(cookie, into: &state.cookies, at: now)
            }
        }
    }

    private static func put(_ cookie: Cookie, into cookies: inout [Cookie], at now: Int64) {
        let isOver = cookie.expiration.map { $0 <= now } ?? false
        let isSame: (Cookie) -> Bool = {
            $0.name == cookie.name && $0.domain == cookie.domain && $0.isHostOnly == cookie.isHostOnly
                && $0.path == cookie.path
        }
        if let index = cookies.firstIndex(where: isSame) {
            // It keeps its place in the order (section 5.3, step 11).
            if isOver { cookies.remove(at: index) } else { cookies[index] = cookie }
            return
        }
        if isOver { return }
        cookies.append(cookie)
        if cookies.count(where: { $0.domain == cookie.domain }) > limitPerDomain,
            let first = cookies.firstIndex(where: { $0.domain == cookie.domain })
        {
            cookies.remove(at: first)
        } else if cookies.count > limit {
            cookies.removeFirst()
        }
    }

    /// What a request to a place has in its `Cookie` field; nil if there is nothing for it.
    public func field(for url: HTTPURL) -> String? {
        let now = now()
        let matching = state.withLock { $0.cookies.filter { $0.matches(url, at: now) } }
        if matching.isEmpty { return nil }
        // Longer paths first, then those that were first set (section 5.4): the sort keeps the order of equals.
        let ordered = matching.enumerated().sorted {
            ($1.element.path.utf8.count, $0.offset) < ($0.element.path.utf8.count, $1.offset)
        }
        return ordered.map { "\($0.element.name)=\($0.element.value)" }.joined(separator: "; ")
    }

    /// Forgets all, or only those without an end: the session is over.
    public func clear(sessionOnly: Bool = false) {
        state.withLock { state in state.cookies.removeAll { !sessionOnly || $0.expiration == nil } }
    }
}
#endif
