import AsyncIO

/// Three gulls carry letters, one after the other: each `await` waits for the gull before.
@main
struct Gulls {
    static func fly(to city: String, for duration: Duration) async throws {
        print("a gull leaves for \(city)")
        try await Task.sleep(for: duration)
        print("the letter is in \(city)")
    }

    static func main() throws {
        try EventLoop.run {
            let start = ContinuousClock.now
            try await fly(to: "Porto", for: .milliseconds(100))
            try await fly(to: "Bergen", for: .milliseconds(150))
            try await fly(to: "Tunis", for: .milliseconds(50))
            // The times add up: nobody flew while another was in the air.
            let took = start.duration(to: .now)
            print("one by one: \(took >= .milliseconds(300) ? "300 ms and more" : "too fast?")")
        }
    }
}
