import AsyncIO

/// Three gulls at once, on one thread: while one is in the air, the loop runs the others.
@main
struct Gulls {
    static func fly(to city: String, for duration: Duration) async throws -> String {
        print("a gull leaves for \(city)")
        try await Task.sleep(for: duration)
        print("the letter is in \(city)")
        return "answer from \(city)"
    }

    static func main() throws {
        try EventLoop.run {
            let start = ContinuousClock.now
            // The values come back in the order of the arguments, whoever lands first.
            let answers = try await gather(
                { try await fly(to: "Porto", for: .milliseconds(100)) },
                { try await fly(to: "Bergen", for: .milliseconds(150)) },
                { try await fly(to: "Tunis", for: .milliseconds(50)) })
            print(answers.0, answers.1, answers.2, separator: ", ")
            print("at once: \(start.duration(to: .now) < .milliseconds(290) ? "as long as the longest" : "too slow?")")
        }
    }
}
