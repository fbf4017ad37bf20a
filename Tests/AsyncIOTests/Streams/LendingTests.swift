import AsyncIO
import AsyncIOLoop
import AsyncIOTestSupport
import Testing

/// What `withReceivedBytes` adds to a read: memory of the loop's, which many bodies have at once.
@Suite("Bytes that a loop lends")
struct LendingTests {
    @Test("bodies that wait at the same time have memory of their own, however many", arguments: Setting.all)
    func atOnce(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let pairs = try await pairs(100, on: loop)
            for round in 0..<2 {
                let (waiting, mayEnd) = (Counter(), AsyncEvent())
                let readers = pairs.enumerated().map { number, pair in
                    Task(executorPreference: loop) {
                        var all: [UInt8] = []
                        // What was sent in one go may come in two.
                        while all.count < 1000 * round + number + 1 {
                            let bytes = try await pair.right.withReceivedBytes { bytes in
                                if all.isEmpty {
                                    waiting.add()
                                    try await mayEnd.wait()
                                }
                                return copy(of: bytes)
                            }
                            guard let bytes else { break }
                            all += bytes
                        }
                        return all
                    }
                }
                // All of them in one tick, to readers that wait.
                await until { await loop.statistics.waitingOperations >= 100 }
                for (number, pair) in pairs.enumerated() {
                    try await pair.left.write([UInt8](repeating: UInt8(number), count: 1000 * round + number + 1))
                }
                await until { waiting.value == 100 }
                mayEnd.set()
                for (number, reader) in readers.enumerated() {
                    let expected = [UInt8](repeating: UInt8(number), count: 1000 * round + number + 1)
                    #expect(try await reader.value == expected)
                }
            }
        }
    }

    /// TCP connections with both ends.
    private func pairs(_ count: Int, on loop: EventLoop) async throws -> [(left: TCPStream, right: TCPStream)] {
        let listener = try await TCPListener.bind("127.0.0.1", 0, on: loop)
        var pairs: [(left: TCPStream, right: TCPStream)] = []
        for _ in 0..<count {
            async let accepted = listener.accept()
            let left = try await TCPStream.connect(to: listener.address, on: loop)
            pairs.append((left, try await accepted))
        }
        return pairs
    }

    @Test("bytes stay as long as they are lent, also when their connection is closed", arguments: Setting.all)
    func closed(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let (left, right) = try await UnixStream.pair(on: loop)
            try await left.write([1, 2, 3])
            let bytes = try await right.withReceivedBytes { bytes in
                right.close()
                left.close()
                let (third, fourth) = try await UnixStream.pair(on: loop)
                try await third.write([4, 5, 6])
                _ = try await fourth.withReceivedBytes { $0.byteCount }
                return copy(of: bytes)
            }
            #expect(bytes == [1, 2, 3])
        }
    }

    @Test("a task elsewhere gets them as well", arguments: Setting.all)
    func elsewhere(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let (left, right) = try await UnixStream.pair(on: loop)
            let reader = Task.detached {
                var all: [UInt8] = []
                while true {
                    let bytes = try await right.withReceivedBytes { copy(of: $0) }
                    guard let bytes else { return all }
                    all += bytes
                }
            }
            for number in 0..<100 { try await left.write([UInt8(number)]) }
            left.close()
            #expect(try await reader.value == Array(0..<100))
        }
    }
}

private func copy(of bytes: RawSpan) -> [UInt8] { unsafe bytes.withUnsafeBytes { unsafe [UInt8]($0) } }
