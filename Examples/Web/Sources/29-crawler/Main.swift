// A crawler with manners: one site, so many pages at once, so many a second, and no further than so deep.
//
//   29-crawler http://127.0.0.1:8000/ 100

import AsyncIOHTTP

@main
struct Main {
    static func main() throws {
        try EventLoop.run {
            let arguments = Array(CommandLine.arguments.dropFirst())
            guard let first = arguments.first else { return print("usage: 29-crawler URL [PAGES]") }
            let start = try HTTPURL(first)
            let most = arguments.dropFirst().first.flatMap { Int($0) } ?? 100
            let crawler = await Crawler(start: start, most: most)
            try await crawler.run()
        }
    }
}

@MainActor
final class Crawler {
    private let start: HTTPURL
    private let most: Int
    private var seen: Set<String> = []
    private var found: [String: Int] = [:]
    private let client = HTTPClient()
    /// Ten pages a second, however many come at once.
    private let pace = RateLimiter(permits: 10, per: .seconds(1))

    init(start: HTTPURL, most: Int) {
        self.start = start
        self.most = most
    }

    /// Level by level: the pages that the last level's pages name, and nobody has seen.
    func run() async throws {
        var level = [start]
        seen.insert(start.target)
        while !level.isEmpty {
            let links = try await gatherEach(level, limit: 4) { url in try await self.visit(url) }
            level = links.flatMap { $0 }.filter { seen.count < most && seen.insert($0.target).inserted }
        }
        for (status, count) in found.sorted(by: { $0.key < $1.key }) { print("\(count) pages with \(status)") }
    }

    /// The links of a page that stay on the site. A page that cannot be had has none.
    private func visit(_ url: HTTPURL) async throws -> [HTTPURL] {
        try await pace.acquire()
        do {
            let response = try await client.get("\(url)")
            let size = try await response.body.bytes(upTo: 1 << 20)
            found["\(response.status.code)", default: 0] += 1
            print("\(response.status.code) \(url) (\(size.count) bytes)")
            guard response.headerFields[.contentType]?.hasPrefix("text/html") == true else { return [] }
            return links(in: String(decoding: size, as: UTF8.self), of: response.url)
        } catch let error as HTTPClientError {
            found["\(error.reason)", default: 0] += 1
            print("--- \(error)")
            return []
        }
    }

    private func links(in page: String, of base: HTTPURL) -> [HTTPURL] {
        page.matches(of: /href="([^"#]+)/).compactMap { match in
            guard let url = try? base.resolving(String(match.1)), url.origin == start.origin else { return nil }
            return url
        }
    }
}
