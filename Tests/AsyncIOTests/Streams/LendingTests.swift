import AsyncIO
import AsyncIOLoop
import AsyncIOTestSupport
import Testing

/// What `withReceivedBytes` adds to a read: memory of the loop's, which many bodies have at once.
@Suite("Bytes that a loop lends")
struct LendingTests {
    @Test("bodies that wait at the same time have memory of their own, more of it than is kept", arguments: Setting.all)
    func atOnce(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            for _ in 0..<2 {
                let (waiting, mayEnd) = (Counter(), AsyncEvent())
                var readers: [Task<[UInt8]?, any Error>] = []
                var writers: [UnixStream] = []
                for number in 0..<40 {
                    let (left, right) = try await UnixStream.pair(on: loop)
                    let reader = Task(executorPreference: loop) {
                        try await right.withReceivedBytes { bytes in
                            waiting.add()
                            try await mayEnd.wait()
                            return unsafe bytes.withUnsafeBytes { unsafe [UInt8]($0) }
                        }
                    }
                    try await left.write([UInt8](repeating: UInt8(number), count: 1000 + number))
                    readers.append(reader)
                    writers.append(left)
                }
                await until { waiting.value == 40 }
                mayEnd.set()
                for (number, reader) in readers.enumerated() {
                    #expect(try await reader.value == [UInt8](repeating: UInt8(number), count: 1000 + number))
                }
            }
        }
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
                return unsafe bytes.withUnsafeBytes { unsafe [UInt8]($0) }
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
                    let bytes = try await right.withReceivedBytes { unsafe $0.withUnsafeBytes { unsafe [UInt8]($0) } }
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
