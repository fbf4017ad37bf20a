import AsyncIO
import AsyncIOTestSupport
import Glibc
import SystemPackage
import Testing

@Suite("Locks of files")
struct FileLockTests {
    @Test("an exclusive lock keeps the others out, shared ones only exclusive ones", arguments: Setting.all)
    func kinds(setting: Setting) async throws {
        let scratch = try Scratch()
        try await withLoop(setting) { loop in
            let mode = File.Mode.readingAndWriting(.createOrOpen)
            let first = try await File.open(scratch["a"], mode, on: loop)
            let second = try await File.open(scratch["a"], mode, on: loop)
            #expect(try await first.tryLock(.shared))
            #expect(try await second.tryLock(.shared))
            #expect(try await !second.tryLock(.exclusive))
            try await first.unlock()
            #expect(try await second.tryLock(.exclusive))
            #expect(try await !first.tryLock(.shared))
            try await second.close()
            // A child that somebody else starts just now holds what is open until it runs its program.
            try await first.lock(.exclusive)
        }
    }

    @Test("waiting ends when the lock is given back, or at cancellation", arguments: Setting.all)
    func waiting(setting: Setting) async throws {
        let scratch = try Scratch()
        try await withLoop(setting) { loop in
            let mode = File.Mode.readingAndWriting(.createOrOpen)
            let first = try await File.open(scratch["a"], mode, on: loop)
            let second = try await File.open(scratch["a"], mode, on: loop)
            try await first.lock(.exclusive)
            let cancelled = Task(executorPreference: loop) { try await second.lock(.shared) }
            await until { await loop.statistics.pendingTimers > 0 }
            cancelled.cancel()
            await #expect(throws: CancellationError.self) { try await cancelled.value }
            let order = Log<String>()
            let waiting = Task(executorPreference: loop) {
                try await second.withLock(.exclusive) { order.add("second") }
            }
            await until { await loop.statistics.pendingTimers > 0 }
            order.add("first")
            try await first.unlock()
            try await waiting.value
            #expect(order.all == ["first", "second"])
            #expect(try await first.tryLock(.exclusive))
        }
    }

    @Test("a lock that the file's mode does not allow says which mode does", arguments: Setting.all)
    func wrongMode(setting: Setting) async throws {
        let scratch = try Scratch()
        let path = try scratch.file("a")
        try await withLoop(setting) { loop in
            let reader = try await File.open(path, on: loop)
            let error = try await ioError { _ = try await reader.tryLock(.exclusive) }
            #expect("\(error)".contains("exclusive one for writing"))
        }
    }
}
