import CAsyncIO
import Glibc
import SystemPackage

/// A thread of the operating system, with a name that `ps -T` and debuggers show.
package struct SystemThread: @unchecked Sendable {
    private let handle: pthread_t

    /// Starts a thread. Throws what pthread_create(3) reports: `EAGAIN` when the process may have no more threads.
    package static func start(
        name: String, _ body: @escaping @Sendable () -> Void
    ) throws(IOError) -> SystemThread {
        let start = Start(name: name, body: body)
        var handle = pthread_t()
        let retained = unsafe Unmanaged.passRetained(start)
        let code = unsafe pthread_create(
            &handle, nil,
            { argument in
                guard let argument = unsafe argument else { return nil }
                let start = unsafe Unmanaged<Start>.fromOpaque(argument).takeRetainedValue()
                unsafe casyncio_set_thread_name(start.name)
                start.body()
                return nil
            }, unsafe retained.toOpaque())
        guard code == 0 else {
            unsafe retained.release()
            throw IOError(Errno(rawValue: code), operation: "pthread_create", subject: name)
        }
        return SystemThread(handle: handle)
    }

    /// Waits until the thread has ended. Exactly one of ``join()`` and ``detach()`` must be called, once.
    package func join() { pthread_join(handle, nil) }

    /// Lets the thread end on its own.
    package func detach() { pthread_detach(handle) }

    /// True on the thread itself.
    package var isCurrent: Bool { pthread_equal(handle, pthread_self()) != 0 }

    /// True on the process's first thread.
    package static var isMain: Bool { casyncio_thread_id() == getpid() }

    private final class Start: Sendable {
        let name: String
        let body: @Sendable () -> Void
        init(name: String, body: @escaping @Sendable () -> Void) {
            self.name = name
            self.body = body
        }
    }
}
