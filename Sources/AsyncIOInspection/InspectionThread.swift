import AsyncIOKernel
import Glibc

/// Threads that look at others.
enum InspectionThread {
    /// Starts one that hears no signals: what the program blocks, to wait for it, must not end the process here.
    static func start(
        _ name: String, _ body: @escaping @Sendable () -> Void
    ) throws(IOError) -> SystemThread {
        var all = sigset_t()
        var former = sigset_t()
        unsafe sigfillset(&all)
        unsafe pthread_sigmask(SIG_SETMASK, &all, &former)
        defer { unsafe pthread_sigmask(SIG_SETMASK, &former, nil) }
        return try SystemThread.start(name: name, body)
    }
}
