import AsyncIOKernel

/// Runs a body on a thread that is made for it, and returns its result; throws ``IOError`` if there is no thread to be
/// had.
///
/// A simulation blocks its thread, so it must not run on one of the few of Swift's pool. Suspends until the body has
/// returned; not cancellable.
func onOwnThread<Result: Sendable>(
    _ name: String, _ body: @escaping @Sendable () -> Result
) async throws -> Result {
    try unsafe await withUnsafeThrowingContinuation { continuation in
        do {
            try SystemThread.start(name: name) { unsafe continuation.resume(returning: body()) }.detach()
        } catch {
            unsafe continuation.resume(throwing: error)
        }
    }
}
