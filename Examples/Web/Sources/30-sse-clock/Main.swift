// A clock that a browser shows: server-sent events, one a second, each with a number that a page comes back with.

import AsyncIOHTTP

@main
struct Main {
    static let page = """
        <!DOCTYPE html>
        <title>clock</title>
        <h1 id="time">…</h1>
        <script>
        new EventSource("/ticks").onmessage = event => document.getElementById("time").textContent = event.data;
        </script>
        """

    static func main() throws {
        try EventLoop.run {
            var router = Router()
            try router.get("/") { _ in .html(page) }
            try router.get("/ticks") { request in
                let first = request.lastEventID.flatMap { Int($0) }.map { $0 + 1 } ?? 1
                return .events { send in
                    // A client that goes away cancels this.
                    guard let loop = EventLoop.current else { return }
                    for number in first... {
                        try await send("tick \(number)", id: "\(number)")
                        try await loop.sleep(for: .seconds(1))
                    }
                }
            }
            let port = CommandLine.arguments.dropFirst().first.flatMap { UInt16($0) } ?? 8080
            try await HTTPServer.serve("127.0.0.1", port, onReady: { print("listening on \($0)") }, router.handler)
        }
    }
}
