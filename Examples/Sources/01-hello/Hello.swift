import AsyncIO

/// The smallest program: a loop, a body, a sleep that blocks nobody.
@main
struct Hello {
    static func main() throws {
        try EventLoop.run {
            print("hello")
            try await Task.sleep(for: .milliseconds(100))
            print("world")
        }
    }
}
