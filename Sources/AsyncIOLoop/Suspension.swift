// How a task waits on its loop.
//
// A continuation can be resumed from anywhere, also before its task has suspended, and knows where its task has to go
// on. A loop needs none of that: who lets one of its tasks go on runs on the loop's thread, after the task has been
// suspended there, or asks the loop's inbox; and where the task goes on is where it was, in the ready queue. So a task
// that runs as the loop's own job, isolated to no actor, just leaves its thread, and its job is queued again when its
// time has come, at half of a continuation's price. All others wait by continuations, as everywhere in Swift.
//
// What it takes of the runtime is swift_task_suspend, which that exports, and two fields of a task, which
// casyncio_suspend sets: see tasklayout.h. Seen on Swift 6.3. Built with another one, with a runtime that lays tasks
// out otherwise, or with ASYNCIO_SUSPENSION=continuation in the environment, all tasks wait by continuations.

import CAsyncIO
import Glibc

enum Suspension {
    static let isPossible: Bool = {
        #if compiler(>=6.3) && compiler(<6.4)
        let isUnwanted =
            unsafe getenv("ASYNCIO_SUSPENSION").map { unsafe String(cString: $0) == "continuation" } ?? false
        return !isUnwanted && casyncio_can_suspend()
        #else
        return false
        #endif
    }()
}

/// Suspends the running task until its job is run. Only after ``LoopCore/suspendableWord`` has told its word, without
/// an asynchronous call in between.
@_silgen_name("casyncio_suspend")
@usableFromInline
package nonisolated(nonsending) func suspendRunningTask() async

extension LoopCore {
    /// What lets the running task go on, once it has suspended itself, when it is queued. Nil if it has to wait by a
    /// continuation.
    var suspendableWord: ReadyWord? {
        guard let task = unsafe swift_task_getCurrent() else { return nil }
        return unsafe suspendableWord(of: task)
    }

    /// The same, of the task that is known to run. What runs, or has run last, may be another one's job, or gone.
    @inline(__always)
    func suspendableWord(of task: UnsafeMutableRawPointer) -> ReadyWord? {
        let word = running
        guard unsafe suspendsTasks && word.pointer == task else { return nil }
        switch word.kind {
        // A task that has come here since no loop runs on the main thread goes there when one does.
        case .generic: guard isDefault else { return nil }
        // One whose preference has ended leaves at its next wait.
        case .preferred: guard unsafe casyncio_prefers(loop) else { return nil }
        case .isolated, .main, .visiting, .call: return nil
        }
        return casyncio_runs_as_anybody() ? word : nil
    }

    /// Whether jobs of Swift's default executor lead here, when they are queued by one that runs here.
    @inline(__always)
    private var isDefault: Bool {
        unsafe casyncio_default_core() == Unmanaged.passUnretained(self).toOpaque()
    }

    /// Queues a task that has let the others go first.
    func goesOn(_ yielder: Yielder) {
        switch yielder {
        case .word(let word): wake(word)
        case .continuation(let continuation): unsafe continuation.resume()
        }
    }
}

/// A task that lets the others go first.
@safe
enum Yielder {
    case word(ReadyWord)
    case continuation(UnsafeContinuation<Void, Never>)
}
