package import AsyncIO
import AsyncIOTesting

/// Runs a test's body on a loop whose time is virtual, under the watchdog.
@discardableResult
package func withVirtualTime<Success: Sendable>(
    _ name: String = #function, errors: Errors = Errors(), limit: Duration = .seconds(400),
    _ body: @escaping @concurrent @Sendable (EventLoop) async throws -> Success
) async throws -> Success {
    try await Watchdog.watch(name, limit: limit) {
        try await AsyncIOTesting.withVirtualTime(options: .guest(name: "virtual", errors: errors)) { time in
            try await body(time.loop)
        }
    }
}

/// Runs a test's body on a loop whose time is virtual, with others in the world or without, under the watchdog.
@discardableResult
package func withVirtualTime<Success: Sendable>(
    _ setting: Setting, errors: Errors = Errors(), limit: Duration = .seconds(400),
    _ body: @escaping @Sendable (EventLoop) async throws -> Success
) async throws -> Success {
    try await withLoop(setting, reports: errors, limit: limit, body)
}
