import AsyncIOMain

/// A plain asynchronous `main` that runs on an event loop, because it imports AsyncIOMain.
@main
struct PlainMain {
    static func main() async throws {
        print("on a loop from the first line: \(EventLoop.current != nil)")
        let started = ContinuousClock.now
        async let first: Void = Task.sleep(for: .milliseconds(100))
        async let second: Void = Task.sleep(for: .milliseconds(100))
        _ = try await (first, second)
        // Both slept at once, on one thread.
        let took = started.duration(to: .now)
        print("both slept in one go: \(took < .milliseconds(190))")
    }
}
