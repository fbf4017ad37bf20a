import AsyncIOKernel
import CAsyncIO
import CAsyncIOInspection
import Glibc

/// Takes pictures of blocked threads: where they are, and whether they wait or compute. The watchdog's own.
@safe
final class ThreadCamera {
    struct Picture {
        var stack: [Frame] = []
        /// The system call in which the thread waits.
        var call: String?
        var isRunning = false
        /// Why there is no stack.
        var note: String?
    }

    private static let frames = 64
    private static let depth = 128 << 10
    private let memory: UnsafeMutablePointer<UInt8>
    private var sample = unsafe casyncio_sample()

    init() {
        unsafe memory = .allocate(capacity: Self.depth)
        unsafe sample.memory = memory
        unsafe sample.capacity = Self.depth
    }

    deinit { unsafe memory.deallocate() }

    /// Where a loop's thread is, as long as it is at what was read.
    func take(of cell: WatchCell, _ reading: WatchCell.Reading) -> Picture {
        var picture = Picture()
        guard !cell.stack.isEmpty else {
            picture.note = "the bounds of the thread's stack are not known"
            return picture
        }
        guard takeSample(of: cell, &picture) else { return picture }
        guard cell.isStill(at: reading) else {
            picture.note = "it has ended just now"
            return picture
        }
        picture.stack = stack()
        // A wait that the kernel has interrupted for work of its own, io_uring's for example, goes on by another name.
        if picture.call == "restart_syscall", let name = picture.stack.first?.function { picture.call = name }
        return picture
    }

    private func takeSample(of cell: WatchCell, _ picture: inout Picture) -> Bool {
        // A thread that waits in turns may run or wait again before it is read.
        for _ in 0..<5 {
            var state = casyncio_thread_state()
            guard unsafe casyncio_read_thread_state(cell.thread, &state) else {
                picture.note = "the kernel does not tell in /proc what the thread does"
                return false
            }
            picture.isRunning = state.is_running
            picture.call = state.is_running ? nil : Self.nameOfCall(state)
            if !state.is_running {
                if unsafe casyncio_sample_waiting(cell.thread, &state, cell.stack.upperBound, &sample) { return true }
                continue
            }
            let code = unsafe casyncio_sample_running(
                cell.thread, cell.stack.lowerBound, cell.stack.upperBound, 100_000_000, &sample)
            if code == 0 { return true }
            picture.note = Self.explanation(code)
            return false
        }
        picture.note = "the thread is never long at one place"
        return false
    }

    private static func explanation(_ code: Int32) -> String {
        switch code {
        case ETIMEDOUT: "the thread has not answered for 100 ms: it blocks all signals, or gets no processor"
        case EBUSY: "the program handles every real-time signal itself, and none is left to ask the thread with"
        default: "the thread could not be asked (error \(code))"
        }
    }

    private static func nameOfCall(_ state: casyncio_thread_state) -> String {
        guard state.call >= 0 else { return "the kernel, without a system call (a page fault)" }
        guard let name = unsafe casyncio_system_call_name(state.call) else { return "system call \(state.call)" }
        return unsafe String(cString: name)
    }

    private func stack() -> [Frame] {
        var addresses = [UInt64](repeating: 0, count: Self.frames)
        var (context, place): (UInt64, Int) = (0, -1)
        let count = unsafe casyncio_unwind(&sample, &addresses, addresses.count, &context, &place)
        var frames: [UInt] = []
        for index in 0..<(place < 0 ? count : place + 1) {
            // What a function returns to is behind the call; its line is the call's.
            frames.append(UInt(addresses[index]) &- (index == 0 ? 0 : 1))
        }
        if context != 0 {
            let callers = unsafe casyncio_unwind_context(context, &addresses, addresses.count)
            // The first word of a context's chain is who awaits the function itself.
            frames += addresses.prefix(callers).map { UInt($0) }
        }
        let shown = Symbols.frames(of: frames)
        return shown.isEmpty ? frames.map(Symbols.frame(at:)) : shown
    }

    /// The name that a running task was given. Its memory is read from outside: it may end meanwhile.
    func name(of task: UInt) -> String? {
        guard task != 0, casyncio_task_layout_is_known() else { return nil }
        var name = [UInt8](repeating: 0, count: 256)
        let count = unsafe name.withUnsafeMutableBytes { bytes in
            unsafe casyncio_copy_task_name(
                UInt64(task), bytes.baseAddress?.assumingMemoryBound(to: CChar.self), bytes.count)
        }
        return count == 0 ? nil : String(decoding: name.prefix(count), as: UTF8.self)
    }
}
