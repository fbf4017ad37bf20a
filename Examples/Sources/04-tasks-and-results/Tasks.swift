import AsyncIO

/// Tasks of one's own: a name, a value, an error; and results that do not stop at the first error.
@main
struct Tasks {
    struct StormyWeather: Error, CustomStringConvertible {
        var description: String { "stormy weather" }
    }

    static func fly(_ number: Int) async throws -> String {
        print("\(Task.name ?? "?") takes off")
        try await Task.sleep(for: .milliseconds(number * 20))
        if number == 2 { throw StormyWeather() }
        return "letter \(number) delivered"
    }

    static func main() throws {
        try EventLoop.run {
            let task = Task(name: "gull 1") { try await fly(1) }
            print("the task is made, and has not begun")
            print(try await task.value)

            let results = await gatherResults(
                { try await fly(2) },
                { try await fly(3) })
            for result in [results.0, results.1] {
                switch result {
                case .success(let text): print(text)
                case .failure(let error): print("failed: \(error)")
                }
            }
        }
    }
}
