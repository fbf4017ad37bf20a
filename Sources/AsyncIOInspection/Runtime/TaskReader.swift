import CAsyncIO

/// What was read of a task that does not run.
package struct TaskReading: Sendable {
    package var id: UInt64
    package var name: String?
    /// The task that it is a child of.
    package var parent: UInt64?
    package var kind: TaskView.Kind
    package var isCancelled, isRunning, isEnqueued, isComplete: Bool
    /// What it is suspended for, as the runtime notes it.
    package var dependency: Dependency
    /// Where it goes on: the innermost function's resumption first. Nothing of a task that runs.
    package var stack: [UInt]
}

/// What a task is suspended for.
package enum Dependency: Sendable, Equatable {
    /// Nothing, or nothing that the runtime notes.
    case none
    /// The end of another task: its id, or 0 if that could not be read.
    case task(UInt64)
    /// The next end of a child in one of its groups.
    case group
    /// Somebody who resumes it.
    case continuation
    /// An executor that has it in its queue.
    case queued
}

/// Reads tasks where they lie in memory: the runtime has no function for it.
///
/// Memory is read through the kernel, which answers a pointer that leads nowhere with a refusal, so a task that has
/// gone meanwhile is nil, and never the end of the process. Whether the runtime lays tasks out as they are read is
/// tried once, with tasks made for that; if not, ``refusal`` says why, and nothing is read.
package enum TaskReader {
    /// Why tasks cannot be read in this process, in one sentence; nil if they can.
    package static let refusal: String? = {
        if let reason = unsafe casyncio_task_reading_refusal() { return unsafe String(cString: reason) }
        return LayoutProbe.run()
    }()

    /// Reads a task; nil if there is no task with this id at the address, any more.
    ///
    /// The task must not begin to run meanwhile: where a loop's tasks are asked for, that is on its thread. If it does,
    /// the stack may be nonsense, or short; nothing worse. At most so many frames are read.
    package static func read(
        _ task: UInt, id: UInt64, frames: Int, from pages: borrowing CopiedPages = .ofOneTask
    ) -> TaskReading? {
        refusal == nil ? readUnverified(task, id: id, frames: frames, from: pages) : nil
    }

    /// For the trial itself.
    static func readUnverified(
        _ task: UInt, id: UInt64, frames: Int, from pages: borrowing CopiedPages = .ofOneTask
    ) -> TaskReading? {
        var reading = casyncio_task_reading()
        let stack = unsafe [UInt](unsafeUninitializedCapacity: max(0, frames)) { buffer, count in
            guard unsafe casyncio_read_task(pages.pages, task, id, &reading, buffer.baseAddress, buffer.count) else {
                return
            }
            count = Int(reading.frame_count)
        }
        return reading.id == id ? TaskReading(reading, stack: stack) : nil
    }
}

/// Memory of the process as it was when the first task in it was read. A number of tasks that are read one right after
/// the other share it, so that the kernel is asked once for several of them.
@safe
package struct CopiedPages: ~Copyable {
    fileprivate let pages: OpaquePointer?

    /// For several tasks.
    package init() { unsafe pages = casyncio_pages_make() }

    private init(pages: OpaquePointer?) { unsafe self.pages = pages }

    deinit { unsafe casyncio_pages_free(pages) }

    /// For one task, with nothing kept.
    package static var ofOneTask: CopiedPages { unsafe CopiedPages(pages: nil) }
}

extension TaskReading {
    fileprivate init(_ reading: casyncio_task_reading, stack: [UInt]) {
        var reading = reading
        id = reading.id
        parent = reading.parent == 0 ? nil : reading.parent
        kind = reading.is_async_let ? .asyncLet : reading.is_group_child ? .groupChild : .unstructured
        isCancelled = reading.is_cancelled
        isRunning = reading.is_running
        isEnqueued = reading.is_enqueued
        isComplete = reading.is_complete
        dependency =
            switch reading.dependency {
            case CASYNCIO_DEPENDS_ON_TASK: .task(reading.dependency_task)
            case CASYNCIO_DEPENDS_ON_GROUP: .group
            case CASYNCIO_DEPENDS_ON_CONTINUATION: .continuation
            case CASYNCIO_DEPENDS_ON_EXECUTOR: .queued
            default: .none
            }
        self.stack = stack
        if reading.name_length >= 0 {
            let bytes = unsafe UnsafeRawBufferPointer(
                start: casyncio_reading_name(&reading), count: Int(reading.name_length))
            name = unsafe String(decoding: bytes, as: UTF8.self)
        }
    }
}
