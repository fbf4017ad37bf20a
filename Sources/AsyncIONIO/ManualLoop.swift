#if NIO
package import NIOCore

/// A loop that turns only when it is told to: for a pipeline that is driven by whoever has bytes for it.
///
/// It knows no thread, and no time: whoever drives it sees to it that one thread at a time does, and what is scheduled
/// never comes. So a protocol's handlers become a plain state machine, which may stand behind a lock, and which is as
/// fast to make as a few objects.
package final class ManualLoop: NIOCore.EventLoop, @unchecked Sendable {
    private var tasks: [@Sendable () -> Void] = []

    package init() {}

    package var inEventLoop: Bool { true }

    package func execute(_ task: @escaping @Sendable () -> Void) { tasks.append(task) }

    package func scheduleTask<T>(deadline: NIODeadline, _ task: @escaping @Sendable () throws -> T) -> Scheduled<T> {
        // The promise is let go unkept: nobody but the canceller has it.
        Scheduled(promise: makePromise(of: T.self)) {}
    }

    package func scheduleTask<T>(in time: TimeAmount, _ task: @escaping @Sendable () throws -> T) -> Scheduled<T> {
        scheduleTask(deadline: .distantFuture, task)
    }

    package func shutdownGracefully(queue: some Any, _ callback: @escaping @Sendable ((any Error)?) -> Void) {
        execute { callback(NIOCore.EventLoopError.unsupportedOperation) }
    }

    package func preconditionInEventLoop(file: StaticString, line: UInt) {}

    package func preconditionNotInEventLoop(file: StaticString, line: UInt) {}

    /// Runs what has been queued, and what that queues, until nothing is left.
    package func turn() {
        while !tasks.isEmpty {
            let batch = tasks
            tasks.removeAll(keepingCapacity: true)
            for task in batch { task() }
        }
    }
}
#endif
