// A server for other people's clients, and a client for their servers: what is sent comes back, what is asked for is
// made by rules that both sides know.
#if HTTP
import AsyncIOHTTP
import Glibc
import Synchronization

/// `web-probe PLACE`: serves until it is interrupted. The place is a port of 127.0.0.1 (0: any) or a path with a slash
/// in it, for a Unix socket. Prints `port N` or `path P` when it listens. With `get` or `put`, it asks: ``Asking``.
@main
struct Main {
    static func main() throws {
        let words = Array(CommandLine.arguments.dropFirst())
        let place = words.first ?? "0"
        try EventLoop.run(options: .init(name: "web", interrupts: [.interrupt, .terminate])) {
            if place == "get" { return try await Asking.get(Array(words.dropFirst())) }
            if place == "put", words.count == 4, let count = Int(words[2]) {
                return try await Asking.put(words[1], count, hasLength: words[3] == "length")
            }
            let router = try makeRouter()
            let server = HTTPServer()
            if place.contains("/") {
                let listener = try await UnixListener.bind(place)
                say("path \(place)")
                try await server.serve(listener, router.handler)
            } else {
                let listener = try await TCPListener.bind("127.0.0.1", UInt16(place) ?? 0)
                say("port \(listener.address.port ?? 0)")
                try await server.serve(listener, router.handler)
            }
        }
    }

    /// Whoever waits for the line reads it through a pipe.
    static func say(_ line: String) {
        print(line)
        fflush(nil)
    }

    private static let ended = Atomic(0)

    private static var nanoseconds: Int {
        var time = timespec()
        unsafe clock_gettime(CLOCK_MONOTONIC, &time)
        return time.tv_sec * 1_000_000_000 + time.tv_nsec
    }

    static func makeRouter() throws -> Router {
        var router = Router()
        try router.get("/hello") { _ in .text("hello\n") }
        // So many bytes, with their number beforehand or in chunks.
        try router.get("/bytes/:count") { request in
            let count = Int(request.parameters["count"] ?? "") ?? 0
            return .init(body: Pattern.body(count, hasLength: try request.query["chunked"] == nil))
        }
        // The body, as it comes.
        try router.post("/echo") { request in .init(body: .init(request.body, length: request.body.length)) }
        // Its length and what its bytes add up to.
        try router.put("/sum") { request in
            var count = 0
            var isPattern = true
            for try await piece in request.body {
                isPattern = isPattern && Pattern.fits(piece, at: count)
                count += piece.count
            }
            return .text("\(count) \(isPattern ? "right" : "wrong")\n")
        }
        // Nobody asks for this but a request that is hidden in another one.
        try router.get("/smuggled") { _ in .text("here it was") }
        // Waits for what only its client's leaving can end; and when that was, by the machine's monotonic clock.
        try router.get("/wait") { _ in
            defer { ended.store(nanoseconds, ordering: .relaxed) }
            try await EventLoop.current?.sleep(for: .seconds(3_600))
            return .text("nobody left\n")
        }
        try router.get("/ended") { _ in .text("\(ended.load(ordering: .relaxed))") }
        // Answers before it reads.
        try router.post("/refuse") { _ in throw HTTPError(.forbidden, "not here") }
        try router.get("/ws") { request in
            try .webSocket(request) { socket in
                for try await message in socket { try await socket.send(message) }
            }
        }
        return router
    }
}

/// Bytes that both sides know: each is its place, modulo 251.
enum Pattern {
    private static let block = (0..<251 * 256).map { UInt8($0 % 251) }

    static func body(_ count: Int, hasLength: Bool) -> HTTPBody {
        HTTPBody(length: hasLength ? count : nil) { writer in
            var left = count
            while left > 0 {
                let piece = min(left, block.count)
                try await writer.write(piece == block.count ? block : Array(block[..<piece]))
                left -= piece
            }
        }
    }

    static func fits(_ piece: [UInt8], at position: Int) -> Bool {
        var expected = position % 251
        for byte in piece {
            if Int(byte) != expected { return false }
            expected = expected == 250 ? 0 : expected + 1
        }
        return true
    }
}
#else
@main
struct Main {
    static func main() {}
}
#endif
