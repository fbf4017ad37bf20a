#if HTTP
import AsyncIO
import AsyncIOKernel
import AsyncIOLoop
import HTTPTypes

/// Sends a request: a small one at once, a larger one in a task of its own, so that a server may answer while it comes.
final class RequestSender: Sendable {
    private struct State {
        var task: BackgroundTask<Void>?
        /// The body is sent, or begins to be; or, once refused, never is.
        var hasBegun = false
        var isRefused = false
        var isFinished = false
        var hasSentAll = false
        /// Whoever makes the body has failed, or the server takes nothing: the cause of whatever else fails.
        var ownFailure: (any Error)?
        var whenFinished: (@Sendable () -> Void)?
    }

    private let plan: PlannedRequest
    private let stream: any ByteStream
    private let writer: RequestWriter
    private let state = Locked(State())
    /// Whether the server wants the body, where it is asked.
    private let leave = Promise<Bool>.make(name: "100 Continue")

    /// Bodies up to this size are sent before anybody listens for the answer: a kernel's buffers take more than that.
    private static let smallSize = 16 << 10

    init(_ plan: PlannedRequest, on stream: any ByteStream, _ meter: ProgressMeter) {
        self.plan = plan
        self.stream = stream
        writer = RequestWriter(stream, plan, meter)
    }

    /// What makes everything else pointless, whatever that says.
    var ownFailure: (any Error)? { state.withLock { $0.ownFailure } }

    /// Whether the body was begun: where it is asked for first, it may not be.
    var hasBegunBody: Bool { state.withLock { $0.hasBegun } }

    // MARK: Sending

    /// Sends it, or begins to. Throws if the task is cancelled; what else goes wrong is told by ``ownFailure``, or by
    /// the connection.
    func start(on loop: EventLoop) async throws {
        if isSmall {
            await send()
            return try Task.checkCancellation()
        }
        let task = loop.spawnForCaller(name: "request body", place: #fileID) { await self.send() }
        state.withLock { $0.task = task }
    }

    private var isSmall: Bool {
        guard !plan.head.expectsContinue else { return false }
        if case .bytes(let bytes) = plan.request.body.content { return bytes.count <= Self.smallSize }
        return false
    }

    private func send() async {
        var hasSentAll = false
        do {
            if try await isWanted(), mayBegin() {
                try await plan.request.body.write(to: writer)
                try await writer.finish()
                hasSentAll = true
            }
        } catch {
            failed(error)
        }
        let callback = state.withLock { state in
            state.isFinished = true
            state.hasSentAll = hasSentAll
            return state.whenFinished.take()
        }
        callback?()
    }

    /// Asks the server for leave, where the request does, and waits for it, but not for long: many never answer.
    private func isWanted() async throws -> Bool {
        guard plan.head.expectsContinue else { return true }
        try await writer.flush()
        do {
            return try await withTimeout(plan.timeouts.continuation) { try await leave.promise.value }
        } catch is TimeoutError {
            return true
        }
    }

    /// Decides, once and for all, whether the body is sent.
    private func mayBegin() -> Bool {
        state.withLock { state in
            if !state.isRefused { state.hasBegun = true }
            return state.hasBegun
        }
    }

    private func failed(_ error: any Error) {
        // A server that has had enough may have said why before it closed: whoever reads finds out.
        if let failure = writer.failure, !(failure is PhaseTimeout) { return }
        // We have been called off, and whoever did it knows.
        if error is CancellationError, Task.isCancelled { return }
        state.withLock { $0.ownFailure = error }
        // The server must not take a part for the whole, and whoever waits for its answer has to know.
        stream.abort()
    }

    // MARK: What the answer says

    /// The server wants the body.
    func permit() { leave.resolver.fulfil(true) }

    /// The server has answered: a body that has not begun is not sent.
    func refuse() {
        state.withLock { if !$0.hasBegun { $0.isRefused = true } }
        leave.resolver.fulfil(false)
    }

    /// Calls back when nothing more is sent; at once, if that is so already.
    func whenFinished(_ body: @escaping @Sendable () -> Void) {
        let isFinished = state.withLock { state in
            if !state.isFinished { state.whenFinished = body }
            return state.isFinished
        }
        if isFinished { body() }
    }

    /// Whether everything was sent, when the response has come to its end. The last bytes may be on their way.
    func isDone() async -> Bool {
        let task = state.withLock { $0.isFinished ? nil : $0.task }
        if let task, writer.isEnding { try? await task.value }
        return state.withLock { $0.hasSentAll }
    }

    /// Sends nothing more.
    func cancel() { state.withLock { $0.isFinished ? nil : $0.task }?.cancel() }
}

/// Counts the bytes of an exchange, and tells whoever wants to know.
final class ProgressMeter: Sendable {
    private let progress = Locked(HTTPClient.Progress())
    private let report: (@Sendable (HTTPClient.Progress) -> Void)?

    init(_ request: HTTPClient.Request) {
        report = request.progress
        progress.withLock { $0.sentTotal = request.body.length }
    }

    func change(_ change: (inout HTTPClient.Progress) -> Void) {
        guard let report else { return }
        let now = progress.withLock { progress in
            change(&progress)
            return progress
        }
        report(now)
    }
}
#endif
