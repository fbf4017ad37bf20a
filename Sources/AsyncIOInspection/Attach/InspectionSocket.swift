import AsyncIOKernel
import AsyncIOLoop
import Glibc

/// Opens and closes a process's socket; neither waits.
struct SocketSwitch: Sendable {
    let open: @Sendable () -> Void
    let close: @Sendable () -> Void

    init(open: @escaping @Sendable () -> Void, close: @escaping @Sendable () -> Void) {
        self.open = open
        self.close = close
    }

    init(_ socket: InspectionSocket) {
        self.init(open: { socket.open() }, close: { socket.close() })
    }
}

/// The Unix socket by which a running process can be inspected: there as long as one of its loops is.
///
/// Whoever asks is answered by a thread of its own, see ``Reception``. The file goes with the last loop, at exit(3), or
/// with the next `asyncio ps`, which finds that nobody listens there.
final class InspectionSocket: Sendable {
    /// The process's own.
    static let shared = InspectionSocket(answers: .ofProcess, folder: nil)

    private struct State {
        /// The eventfd of the thread that serves, or will; -1 if none does.
        var wake: CInt = -1
        /// The file, once it is there.
        var path: String?
        /// Whose it is: a child that was forked has this memory, but not the socket.
        var process: Int32 = 0
        var closesAtExit = false
        /// The system has refused it.
        var hasFailed = false
    }

    private let answers: InspectionAnswers
    private let folder: String?
    private let patience: Duration
    private let state = Locked(State())

    /// A socket in a folder that is there, or in the user's own.
    init(answers: InspectionAnswers, folder: String?, patience: Duration = Visitor.patience) {
        self.answers = answers
        self.folder = folder
        self.patience = patience
    }

    /// Where it is, once it can be connected to.
    var path: String? { state.withLock { $0.path } }

    /// Begins to listen, if it does not. Does not wait: the system is asked on the new thread, and what it refuses is
    /// said on standard error.
    func open() {
        let process = getpid()
        let wake: CInt = state.withLock { state in
            guard !state.hasFailed, state.wake < 0 || state.process != process else { return -1 }
            // As a number: the thread closes it. None is to be had on the thread of a simulated loop, which is no place
            // for sockets.
            guard let owned = try? SystemCall.eventDescriptor("inspection") else { return -1 }
            let wake = owned.release()
            if !state.closesAtExit && folder == nil { atexit { InspectionSocket.shared.close() } }
            state = State(wake: wake, process: process, closesAtExit: true)
            return wake
        }
        guard wake >= 0 else { return }
        do {
            try InspectionThread.start("inspection") { [self] in
                serve(wake)
                state.withLock { state in
                    if state.wake == wake { state.wake = -1 }
                }
                // Nobody writes to it any more.
                _ = Glibc.close(wake)
            }.detach()
        } catch {
            fail(error)
        }
    }

    /// Takes the file away, and lets the thread end.
    func close() {
        state.withLock { state in
            guard state.wake >= 0, state.process == getpid() else { return }
            if let path = state.path { _ = unsafe unlink(path) }
            var one: UInt64 = 1
            _ = unsafe write(state.wake, &one, MemoryLayout<UInt64>.size)
            state.wake = -1
            state.path = nil
        }
    }

    private func serve(_ wake: CInt) {
        do {
            let folder = try folder ?? InspectionPlace.makeFolder()
            let path = "\(folder)/\(InspectionPlace.name(of: getpid()))"
            guard let listener = try listen(at: path, wake) else { return }
            Reception(listener, wake: wake, answers: answers, patience: patience).serve()
        } catch {
            fail(error)
        }
    }

    /// Makes the socket; nil if it is not wanted any more.
    private func listen(at path: String, _ wake: CInt) throws -> Descriptor? {
        // Bound elsewhere and renamed, so that whoever finds it there can connect, and nobody takes it for a dead one.
        let draft = "\(path).new"
        let number = try SystemCall.check(
            SystemCall.socket(family: AF_UNIX, CInt(SOCK_STREAM.rawValue)), "make socket", path)
        let listener = Descriptor(owning: CInt(truncatingIfNeeded: number))
        let address = try SocketAddress.unix(path: draft)
        // Of another process with this number, which has ended, or has it in another namespace and still listens.
        if InspectionPlace.listener(at: path) == .alive {
            throw InspectionPlace.Refusal(description: "\(path) belongs to another process")
        }
        let isWanted = try state.withLock { state in
            guard state.wake == wake else { return false }
            _ = unsafe unlink(draft)
            try SystemCall.check(SystemCall.bind(listener.number, address), "bind", path)
            try SystemCall.check(SystemCall.result { unsafe chmod(draft, 0o600) }, "protect", path)
            try SystemCall.check(SystemCall.listen(listener.number, backlog: 64), "listen", path)
            try SystemCall.check(SystemCall.result { unsafe rename(draft, path) }, "rename to", path)
            state.path = path
            return true
        }
        guard isWanted else { return nil }
        return consume listener
    }

    /// Once is enough, however many loops begin.
    private func fail(_ error: any Error) {
        state.withLock { $0.hasFailed = true }
        StandardError.write("asyncio: this process cannot be inspected from outside: \(error)")
    }
}
