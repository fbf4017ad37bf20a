import AsyncIO
import Glibc

/// A task that blocks holds up everybody on its loop; `offload` gives such work a thread of its own.
@main
struct Blocking {
    /// Counts how often the others had their turn.
    static func heartbeat(during work: () async throws -> Void) async rethrows -> Int {
        let beats = Task(name: "heart") {
            var count = 0
            while !Task.isCancelled {
                try? await Task.sleep(for: .milliseconds(5))
                count += 1
            }
            return count
        }
        await EventLoop.yield()
        try await work()
        beats.cancel()
        return await beats.value
    }

    static func main() throws {
        try EventLoop.run {
            let blocked = await heartbeat { _ = usleep(100_000) }
            print("a blocking call: the heart beat \(blocked <= 2 ? "hardly at all" : "\(blocked) times")")

            let free = try await heartbeat { _ = try await offload { usleep(100_000) } }
            print("offloaded: the heart \(free > 5 ? "went on beating" : "stopped?")")
        }
    }
}
