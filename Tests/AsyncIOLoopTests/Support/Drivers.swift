import AsyncIOLoop

/// The drivers that every test of the loop runs on.
enum Drivers {
    static let available: [DriverChoice] = [.epoll]
}
