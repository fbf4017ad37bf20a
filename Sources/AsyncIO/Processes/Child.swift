import AsyncIOKernel
import AsyncIOLoop
import CAsyncIO
import SystemPackage

/// A child process, known by its pidfd: the one place where children are waited for, reaped and signalled.
///
/// A pidfd (pidfd_open(2)) names a process, never a number that another process may have got meanwhile; it becomes
/// readable when the process has ended. There is no handler of SIGCHLD, so libraries that have one of their own are not
/// disturbed, and no wait for just any child. Between posix_spawn(3) and pidfd_open(2) the number is safe: the child
/// stays a zombie until it is reaped, which only somebody can spoil who waits for children that are not his.
final class Child: Sendable {
    /// The process id.
    let id: CInt
    let command: Command
    private let handle: HeldDescriptor
    private let state = Locked(State())

    private struct State {
        var end: Result<ExitStatus, IOError>?
        /// A task waits on the pidfd itself; others take copies.
        var isAwaited = false
        /// When the kernel was first asked about a child that somebody else has reaped, and did not yet know its end.
        var vainSince: Instant?
    }

    /// Takes a child that has just been started. Where it cannot be taken, it is ended.
    init(process: CInt, command: Command) throws(IOError) {
        let opened = SystemCall.openProcess(process)
        let subject = "\(command.executable) (process \(process))"
        guard opened >= 0 else {
            let code = Errno(negated: opened)
            guard code != .noSuchProcess else { throw Self.stolen(subject) }
            SystemCall.killAndReap(process)
            let detail = code == .noFunction ? "the kernel has no pidfd: Linux 5.4 or newer is needed" : nil
            throw IOError(code, operation: "pidfd_open", subject: subject, detail: detail)
        }
        handle = HeldDescriptor(Descriptor(owning: CInt(truncatingIfNeeded: opened)))
        guard SystemCall.isChild(handle.number) else { throw Self.stolen(subject) }
        id = process
        self.command = command
    }

    deinit {
        // Nobody waits any more, and it goes on: it is reaped when the next one is started.
        // A simulated child goes with its world.
        if end() == nil && !SystemCall.isSimulated { Self.orphans.withLock { $0.append(handle) } }
    }

    /// How long the kernel may take to remember an end: by time, since those who look may do so in vain often.
    private static let patience = Duration.milliseconds(500)

    private static func stolen(_ subject: String) -> IOError {
        IOError(
            .noChildProcess, operation: "wait for", subject: subject,
            detail: "its exit status is lost: another part of this program has reaped it; "
                + "let that wait for its own children alone")
    }

    // MARK: Its end

    /// How it has ended; nil while it runs. Reaps it.
    func end() -> Result<ExitStatus, IOError>? {
        state.withLock { state in
            if state.end == nil { state.end = look(&state) }
            return state.end
        }
    }

    private func look(_ state: inout State) -> Result<ExitStatus, IOError>? {
        var end = casyncio_process_end()
        switch SystemCall.takeEnd(of: handle.number, &end) {
        case 0: return nil
        case 1...: return .success(ExitStatus(end))
        default: break
        }
        // Somebody else was faster. The kernel may remember the status, from a moment after the reaping on.
        let known = SystemCall.lookAtEnd(of: handle.number, &end)
        if known > 0 { return .success(ExitStatus(end)) }
        let now = EventLoop.ambient.now
        let since = state.vainSince ?? now
        state.vainSince = since
        let mayCome = known == 0 || known == Errno.noSuchProcess.negated
        if mayCome && since.duration(to: now) < Self.patience { return nil }
        return .failure(Self.stolen("\(command.executable) (process \(id))"))
    }

    /// Suspends until it has ended. Any number of tasks may wait, on any loops.
    func wait(on home: EventLoop) async throws -> ExitStatus {
        var pause = Duration.milliseconds(1)
        var isReady = false
        while true {
            try await Visit.enter()
            if let end = end() { return try end.get() }
            let loop = EventLoop.current ?? home
            if isReady {
                // It has ended, but cannot be reaped yet: a debugger has it (ptrace(2)), or another part of the program
                // reaps it just now. The pidfd stays readable, so time has to pass.
                try loop.check(
                    await loop.perform(.sleep(loop.now.advanced(by: pause))), "wait for", command.executable)
                pause = min(pause * 2, .milliseconds(100))
            } else {
                try await becomeReady(on: loop)
                isReady = true
            }
        }
    }

    /// Two tasks cannot wait on one descriptor: the first has the pidfd, and others a copy each.
    private func becomeReady(on loop: EventLoop) async throws {
        let isFirst = state.withLock { state in
            defer { state.isAwaited = true }
            return !state.isAwaited
        }
        guard isFirst else {
            let copy = Descriptor(owning: try SystemCall.copy(handle.number, notBelow: 0))
            return try await loop.waitReadable(copy.number)
        }
        defer { state.withLock { $0.isAwaited = false } }
        try await loop.waitReadable(handle.number)
    }

    // MARK: Signals

    /// Sends a signal. False if there was nobody to get it.
    func signal(_ number: CInt, _ scope: Termination.Scope) throws(IOError) -> Bool {
        var sent: Int
        switch scope {
        case .process: sent = SystemCall.signal(handle.number, number)
        case .group:
            guard command.group.isOwn else {
                throw IOError(
                    .notPermitted, operation: "signal", subject: "\(command.executable) (process \(id))",
                    detail: "it does not lead a process group: spawn it with the group .own or .session")
            }
            sent = SystemCall.signalGroup(handle.number, number)
            // Before Linux 6.9. The number is the group's until the leader is reaped.
            if sent == Errno.invalidArgument.negated {
                sent = state.withLock { state in
                    guard state.end == nil else { return Errno.noSuchProcess.negated }
                    return SystemCall.signalGroup(numbered: id, number)
                }
            }
        }
        if sent >= 0 { return true }
        let code = Errno(negated: sent)
        if code == .noSuchProcess { return false }
        throw IOError(code, operation: "signal \(number)", subject: "\(command.executable) (process \(id))")
    }

    // MARK: Orphans

    /// Children that nobody waits for, and that had not ended when the last who knew them let go.
    private static let orphans = Locked<[HeldDescriptor]>([])

    /// Reaps those that have ended since.
    static func reapOrphans() {
        // A simulation knows nothing of the real ones.
        guard !SystemCall.isSimulated else { return }
        orphans.withLock { orphans in
            var end = casyncio_process_end()
            orphans.removeAll { SystemCall.takeEnd(of: $0.number, &end) != 0 }
        }
    }
}
