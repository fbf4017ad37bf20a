import AsyncIO
import CAsyncIO
import Glibc

/// Bytes that go to and fro between two tasks over a socket pair, by waiting for readiness.
enum Echo {
    /// Returns how many bytes came back.
    static func bytes(_ loop: EventLoop, rounds: Int) async throws -> Int {
        var ends: [CInt] = [-1, -1]
        let kind = CInt(SOCK_STREAM.rawValue) | CInt(SOCK_NONBLOCK.rawValue) | CInt(SOCK_CLOEXEC.rawValue)
        try SystemCall.call("socketpair") { unsafe socketpair(AF_UNIX, kind, 0, &ends) }
        let (left, right) = (ends[0], ends[1])
        defer {
            close(left)
            close(right)
        }
        async let echoed: Void = answer(loop, right, rounds)
        var count = 0
        for _ in 0..<rounds {
            _ = unsafe SystemCall.send(left, "x", 1)
            try await loop.waitReadable(left)
            var byte: UInt8 = 0
            count += max(unsafe SystemCall.receive(left, &byte, 1), 0)
        }
        try await echoed
        return count
    }

    private static func answer(_ loop: EventLoop, _ end: CInt, _ rounds: Int) async throws {
        for _ in 0..<rounds {
            try await loop.waitReadable(end)
            var byte: UInt8 = 0
            _ = unsafe SystemCall.receive(end, &byte, 1)
            _ = unsafe SystemCall.send(end, &byte, 1)
        }
    }
}
