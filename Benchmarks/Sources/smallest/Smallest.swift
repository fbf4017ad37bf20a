import AsyncIO

/// `smallest`: ends as soon as its loop has run one task. What a program pays to begin: in time, and in bytes on the
/// disk.
@main
struct Smallest {
    static func main() throws {
        try EventLoop.run { await Task {}.value }
    }
}
