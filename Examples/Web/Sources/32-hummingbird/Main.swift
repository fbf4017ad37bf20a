// Hummingbird's server, whose handlers run on our loop.
//
// Hummingbird keeps its own event loops for its connections. What it calls, it calls in Swift's tasks, and those run
// where all tasks of this program do: on the loop, one thread, no locks. So a handler may use what lives there.

import AsyncIO
import Hummingbird

@main
struct Main {
    /// Only the loop's thread touches it.
    @MainActor static var visits = 0

    static func main() throws {
        try EventLoop.run {
            let router = Router()
            router.get("/") { _, _ in
                let number = await visit()
                return "hello number \(number), from \(EventLoop.current?.driverName ?? "no loop at all")\n"
            }
            let port = CommandLine.arguments.dropFirst().first.flatMap { Int($0) } ?? 8080
            let app = Application(
                router: router,
                configuration: .init(address: .hostname("127.0.0.1", port: port)),
                onServerRunning: { channel in print("hummingbird: \(channel.localAddress?.description ?? "running")") })
            try await app.run()
        }
    }

    @MainActor
    static func visit() -> Int {
        visits += 1
        return visits
    }
}
