import AsyncIO
import Glibc

/// Work that nobody awaits: the loop owns it, cancels it at the end, and tells of its errors; and work that blocks.
@main
struct Background {
    struct LostLetter: Error {}

    static func main() throws {
        try EventLoop.run {
            guard let loop = EventLoop.current else { return }

            loop.spawn(name: "ticker") {
                defer { print("ticker: cancelled in good order") }
                while true { try await loop.sleep(for: .milliseconds(30)) }
            }
            loop.spawn(name: "gull 7") { throw LostLetter() }  // Reported on standard error, with this name.

            loop.callLater(.milliseconds(20)) { print("called back by the loop") }

            // Blocking work goes to a thread of its own; the loop's timers go on.
            let answer = try await offload {
                usleep(100_000)
                return 42
            }
            print("offloaded: \(answer)")
        }
    }
}
