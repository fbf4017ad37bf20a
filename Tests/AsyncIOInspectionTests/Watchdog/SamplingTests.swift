import AsyncIOKernel
import AsyncIOTestSupport
import CAsyncIO
import CAsyncIOInspection
import Glibc
import Testing

/// A thread that a test takes pictures of.
@safe
private final class Model: @unchecked Sendable {
    private let ready = Condition<Bool>(false)
    private var low: UInt64 = 0
    private var high: UInt64 = 0
    private(set) var thread: Int32 = 0

    /// On the thread, before what is to be seen.
    func begin(answers: Bool = true) {
        thread = casyncio_thread_id()
        // The test's own threads may have been started with all signals blocked.
        var all = sigset_t()
        unsafe sigfillset(&all)
        unsafe pthread_sigmask(answers ? SIG_UNBLOCK : SIG_BLOCK, &all, nil)
        _ = unsafe casyncio_stack_bounds(&low, &high)
        ready.withLock { $0 = true }
        ready.broadcast()
    }

    func takePicture(timeout: Duration = .seconds(30)) -> Int32 {
        _ = ready.wait { $0 ? true : nil }
        let memory = UnsafeMutablePointer<UInt8>.allocate(capacity: 65_536)
        defer { unsafe memory.deallocate() }
        var sample = unsafe casyncio_sample()
        unsafe sample.memory = memory
        unsafe sample.capacity = 65_536
        return unsafe casyncio_sample_running(thread, low, high, timeout.saturatedNanoseconds, &sample)
    }

    /// Waits until the kernel says that the thread waits in a call.
    func waits(in call: String) -> Bool {
        _ = ready.wait { $0 ? true : nil }
        var state = casyncio_thread_state()
        while true {
            guard unsafe casyncio_read_thread_state(thread, &state) else { return false }
            if let name = unsafe casyncio_system_call_name(state.call), unsafe String(cString: name) == call {
                return true
            }
            sched_yield()
        }
    }
}

private func foreignHandler(_ signal: Int32) {}
private func otherHandler(_ signal: Int32) {}

@Suite("Pictures of threads", .serialized)
struct SamplingTests {
    @Test("a signal that comes into a blocking read does not disturb it")
    func read() async throws {
        try await Watchdog.onThread {
            var ends: [Int32] = [0, 0]
            let isOpen = unsafe pipe(&ends) == 0
            #expect(isOpen)
            let (source, sink) = (ends[0], ends[1])
            let model = Model()
            let result = Condition<Int?>(nil)
            try SystemThread.start(name: "reader") {
                model.begin()
                var byte: UInt8 = 0
                let count = unsafe Glibc.read(source, &byte, 1)
                result.withLock { $0 = count }
                result.broadcast()
            }.detach()
            #expect(model.waits(in: "read"))
            for _ in 0..<20 { #expect(model.takePicture() == 0) }
            #expect(result.withLock { $0 } == nil)
            var byte: UInt8 = 7
            let written = unsafe write(sink, &byte, 1)
            #expect(written == 1)
            #expect(result.wait { $0 } == 1)
            close(source)
            close(sink)
        }
    }

    @Test("a thread that blocks the signal does not answer, and is not waited for")
    func deaf() async throws {
        try await Watchdog.onThread {
            let model = Model()
            let gate = Gate()
            try SystemThread.start(name: "deaf") {
                model.begin(answers: false)
                gate.block()
            }.detach()
            #expect(model.takePicture(timeout: .milliseconds(1)) == ETIMEDOUT)
            gate.open()
        }
    }

    @Test("handlers that the program has installed stay, before and after")
    func handlers() async throws {
        try await Watchdog.onThread {
            let model = Model()
            let gate = Gate()
            try SystemThread.start(name: "model") {
                model.begin()
                gate.block()
            }.detach()
            defer { gate.open() }
            func install(_ handler: @escaping @convention(c) (Int32) -> Void, for signal: Int32) -> sigaction {
                var (action, before) = (sigaction(), sigaction())
                unsafe action.__sigaction_handler.sa_handler = handler
                unsafe sigaction(signal, &action, &before)
                return before
            }
            func isInstalled(_ handler: @escaping @convention(c) (Int32) -> Void, for signal: Int32) -> Bool {
                var action = sigaction()
                unsafe sigaction(signal, nil, &action)
                return unsafe unsafeBitCast(action.__sigaction_handler, to: UInt.self)
                    == unsafeBitCast(handler, to: UInt.self)
            }
            func areInstalled(_ first: Int32) -> Bool {
                isInstalled(foreignHandler, for: first) && isInstalled(otherHandler, for: first - 1)
            }
            #expect(model.takePicture() == 0)
            let first = casyncio_sampling_signal()
            #expect(first > 0)
            // The program takes the signal for itself, and the one before it, too.
            let before = [install(foreignHandler, for: first), install(otherHandler, for: first - 1)]
            #expect(model.takePicture() == 0)
            let second = casyncio_sampling_signal()
            #expect(second != first && second != first - 1)
            let remain = areInstalled(first)
            #expect(remain)
            for (index, action) in before.enumerated() {
                var action = action
                unsafe sigaction(first - Int32(index), &action, nil)
            }
        }
    }
}
