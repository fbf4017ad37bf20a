import AsyncIOKernel
import AsyncIOTestSupport
import CAsyncIO
import Glibc
import Synchronization
import SystemPackage
import Testing

@Suite("A condition that threads wait for")
struct ConditionTests {
    @Test("a waiting thread sees the change")
    func waits() async throws {
        let condition = Condition(0)
        let seen = try await Watchdog.onThread {
            try SystemThread.start(name: "changer") {
                for number in 1...1000 {
                    condition.withLock { $0 = number }
                    condition.signal()
                }
            }.detach()
            return condition.wait { $0 == 1000 ? $0 : nil }
        }
        #expect(seen == 1000)
    }

    @Test(
        "a deadline ends the wait, and the past is no error",
        arguments: [Instant.distantPast, Instant(nanoseconds: -1), Instant(nanoseconds: 0), .monotonicNow])
    func deadline(instant: Instant) async throws {
        let result = try await Watchdog.onThread { Condition(0).wait(until: instant) { $0 == 1 ? true : nil } }
        #expect(result == nil)
    }

    @Test("the state is looked at once more after the deadline")
    func looksAgain() {
        var looks = 0
        let result = Condition(0).wait(until: .distantPast) { _ in
            looks += 1
            return looks == 2 ? true : nil
        }
        #expect(result == true)
    }

    @Test("a far deadline waits for the change", arguments: [Instant.distantFuture, Instant(nanoseconds: .max - 1)])
    func far(instant: Instant) async throws {
        let condition = Condition(false)
        let result = try await Watchdog.onThread {
            try SystemThread.start(name: "changer") {
                condition.withLock { $0 = true }
                condition.broadcast()
            }.detach()
            return condition.wait(until: instant) { $0 ? true : nil }
        }
        #expect(result == true)
    }
}

@Suite("A buffer that travels with its operation")
struct IOBufferTests {
    @Test("bytes are appended as far as they fit")
    func append() {
        var buffer = IOBuffer(capacity: 4)
        let bytes: [UInt8] = [1, 2, 3]
        let counts = (0..<3).map { _ in unsafe buffer.append(bytes.span.bytes) }
        #expect(counts == [3, 1, 0])
        #expect(buffer.count == 4)
        #expect(buffer.freeCapacity == 0)
        let content = buffer.withBytes { span in
            (0..<span.byteCount).map { unsafe span.unsafeLoad(fromByteOffset: $0, as: UInt8.self) }
        }
        #expect(content == [1, 2, 3, 1])
        buffer.removeAll()
        #expect(buffer.count == 0)
        #expect(buffer.freeCapacity == 4)
    }

    @Test("a capacity below one is one", arguments: [0, -1, Int.min])
    func small(capacity: Int) {
        let buffer = IOBuffer(capacity: capacity)
        #expect(buffer.capacity == 1)
        #expect(buffer.count == 0)
    }

    @Test(
        "what a call says it filled is believed only as far as there is room",
        arguments: [(-11, 0), (0, 0), (3, 3), (5, 0)])
    func fill(result: Int, count: Int) {
        var buffer = IOBuffer(capacity: 4)
        let reported = unsafe buffer.fill { _ in result }
        #expect(reported == result)
        #expect(buffer.count == count)
    }

    @Test("a copy of bytes has their count, also of none", arguments: [0, 1, 1000])
    func copies(count: Int) {
        let bytes = [UInt8](repeating: 9, count: count)
        let buffer = unsafe IOBuffer(copying: bytes.span.bytes)
        #expect(buffer.count == count)
    }
}

@Suite("Descriptors and system calls")
struct DescriptorTests {
    /// A device and an inode tell whether a number still means the same thing, whatever other tests open meanwhile.
    private func identity(_ number: CInt) -> [UInt64]? {
        var status = stat()
        return unsafe fstat(number, &status) == 0 ? [UInt64(status.st_dev), UInt64(status.st_ino)] : nil
    }

    @Test("closing closes, once")
    func closes() throws {
        let pipe = try Pipe()
        let mine = identity(pipe.writer.number)
        let number = pipe.writer.number
        #expect(mine != nil)
        let reader = pipe.reader.number
        drop(pipe)
        #expect(identity(number) != mine)
        #expect(identity(reader) != mine)
    }

    private func drop(_ pipe: consuming Pipe) {}

    @Test("a released descriptor stays open")
    func releases() throws {
        let flags = CInt(EFD_CLOEXEC)
        let number = Descriptor(owning: eventfd(0, flags)).release()
        #expect(Descriptor.isOpen(number))
        #expect(SystemCall.close(number) == 0)
    }

    @Test("numbers that are not open are told", arguments: [-1, CInt.max])
    func notOpen(number: CInt) {
        #expect(!Descriptor.isOpen(number))
    }

    @Test("a descriptor of others can be made non-blocking")
    func nonBlocking() throws {
        let descriptor = Descriptor(owning: eventfd(0, CInt(EFD_CLOEXEC)))
        #expect(fcntl(descriptor.number, F_GETFL) & O_NONBLOCK == 0)
        try Descriptor.setNonBlocking(descriptor.number)
        #expect(fcntl(descriptor.number, F_GETFL) & O_NONBLOCK != 0)
        #expect(throws: IOError.self) { try Descriptor.setNonBlocking(-1) }
    }

    @Test("an interrupted call is begun again, and other errors are told")
    func interrupted() {
        var calls = 0
        let result = SystemCall.result { () -> CInt in
            calls += 1
            if calls == 4 { return 42 }
            Glibc.errno = EINTR
            return -1
        }
        #expect(result == 42)
        #expect(calls == 4)
        let failed = SystemCall.result { () -> CInt in
            Glibc.errno = EACCES
            return -1
        }
        #expect(Errno(negated: failed) == .permissionDenied)
    }

    @Test("a call that must not be repeated is not")
    func onlyOnce() {
        var calls = 0
        let result = SystemCall.resultOnce { () -> CInt in
            calls += 1
            Glibc.errno = EINTR
            return -1
        }
        #expect(calls == 1)
        #expect(Errno(negated: result) == .interrupted)
    }

    @Test("a read goes on after a thousand signals a second")
    func signals() async throws {
        // The signal is sent to one thread, the reader's, whose read(2) has no SA_RESTART.
        let bytes = try await Watchdog.onThread { () -> Int in
            var action = sigaction()
            unsafe action.__sigaction_handler.sa_handler = { _ in }
            var previous = sigaction()
            unsafe sigaction(SIGUSR2, &action, &previous)
            let pipe = try Pipe()
            let (reader, writer) = (pipe.reader.number, pipe.writer.number)
            _ = fcntl(reader, F_SETFL, 0)
            let target = pthread_self()
            let isDone = Atomic(false)
            return try withSender(of: SIGUSR2, to: target, isDone, then: { Bytes.write(1, to: writer) }) {
                let count = Bytes.read(16, from: reader)
                isDone.store(true, ordering: .sequentiallyConsistent)
                return count
            }
        }
        #expect(bytes == 1)
    }

    private func withSender<Result>(
        of signal: CInt, to target: pthread_t, _ isDone: borrowing Atomic<Bool>,
        then finish: @Sendable @escaping () -> Void,
        _ body: () -> Result
    ) throws -> Result {
        let sender = try SystemThread.start(name: "signals") {
            for _ in 0..<200 {
                pthread_kill(target, signal)
                usleep(200)  // sleeps: spreads the signals over the read; nothing waits for it
            }
            finish()
        }
        let result = body()
        sender.join()
        return result
    }
}
