package import CAsyncIO
import Glibc
import SystemPackage

// The calls of child processes, typed. Each returns its value or a negated error number.
extension SystemCall {
    /// posix_spawn(3): the new process's id. Never begun a second time: it may have a child to show already.
    package static func spawn(_ plan: inout casyncio_spawn) -> Int {
        if let standIn { return unsafe standIn.spawn(&plan) }
        return resultOnce { unsafe casyncio_spawn(&plan) }
    }

    /// A pipe with one end for us and one for a child: two new numbers, which the caller owns.
    package static func pipeForChild() throws(IOError) -> (reader: CInt, writer: CInt) {
        if SystemCall.isSimulated { return try pipe() }
        var ends: [CInt] = [-1, -1]
        try call("pipe") { unsafe casyncio_pipe_for_child(&ends) }
        return (ends[0], ends[1])
    }

    /// A copy of a descriptor, close-on-exec, whose number is not below the limit (F_DUPFD_CLOEXEC of fcntl(2)).
    package static func copy(_ descriptor: CInt, notBelow limit: CInt) throws(IOError) -> CInt {
        let number =
            standIn?.copy(descriptor, notBelow: limit)
            ?? result { fcntl(descriptor, CInt(F_DUPFD_CLOEXEC), limit) }
        return CInt(truncatingIfNeeded: try check(number, "duplicate", "descriptor \(descriptor)"))
    }

    /// pidfd_open(2).
    package static func openProcess(_ process: CInt) -> Int {
        standIn?.openProcess(process) ?? result { casyncio_pidfd_open(process) }
    }

    /// pidfd_send_signal(2).
    package static func signal(_ process: CInt, _ signal: CInt) -> Int {
        standIn?.signal(process, signal, wholeGroup: false) ?? result { casyncio_pidfd_signal(process, signal) }
    }

    /// pidfd_send_signal(2) to the process group that the process leads; `EINVAL` before Linux 6.9.
    package static func signalGroup(_ process: CInt, _ signal: CInt) -> Int {
        standIn?.signal(process, signal, wholeGroup: true)
            ?? result { casyncio_pidfd_signal_group(process, signal) }
    }

    /// kill(2) to a process group, for kernels without a better way: only while its leader has not been reaped.
    package static func signalGroup(numbered group: CInt, _ signal: CInt) -> Int {
        result { kill(-group, signal) }
    }

    /// waitid(2): reaps the child if it has ended; 0 if it has not.
    package static func takeEnd(of process: CInt, _ end: inout casyncio_process_end) -> Int {
        standIn?.takeEnd(of: process, &end, keepsIt: false)
            ?? result { unsafe casyncio_pidfd_take_end(process, &end) }
    }

    /// How a process has ended that somebody else has reaped; 0 if the kernel does not know.
    package static func lookAtEnd(of process: CInt, _ end: inout casyncio_process_end) -> Int {
        standIn?.takeEnd(of: process, &end, keepsIt: true)
            ?? result { unsafe casyncio_pidfd_look_at_end(process, &end) }
    }

    /// Whether the process is a child of ours that nobody has reaped.
    package static func isChild(_ process: CInt) -> Bool {
        (standIn?.isChild(process) ?? result { casyncio_pidfd_is_child(process) }) >= 0
    }

    /// Ends a child that we have no pidfd of, and waits for its end.
    package static func killAndReap(_ process: CInt) {
        if let standIn { return standIn.killAndReap(process) }
        _ = result { casyncio_kill_and_reap(process) }
    }

    /// How many bytes a pipe holds.
    package static func waitingBytes(in pipe: CInt) -> Int {
        max(standIn?.waitingBytes(pipe) ?? result { casyncio_waiting_bytes(pipe) }, 0)
    }

    /// Whether a path can be run, by its permissions: access(2) with `X_OK`, and no folder.
    package static func checkRunnable(_ path: String) -> Int {
        if let standIn { return standIn.checkRunnable(path) }
        var status = stat()
        let found = result { unsafe stat(path, &status) }
        guard found >= 0 else { return found }
        guard status.st_mode & S_IFMT != S_IFDIR else { return Errno.permissionDenied.negated }
        return result { unsafe faccessat(AT_FDCWD, path, X_OK, AT_EACCESS) }
    }

    /// Whether a path leads to a folder that can be entered.
    package static func checkFolder(_ path: String) -> Int {
        if let standIn { return standIn.checkFolder(path) }
        var status = stat()
        let found = result { unsafe stat(path, &status) }
        guard found >= 0 else { return found }
        guard status.st_mode & S_IFMT == S_IFDIR else { return Errno.notDirectory.negated }
        return result { unsafe faccessat(AT_FDCWD, path, X_OK, AT_EACCESS) }
    }

    /// open(2), close-on-exec; blocks while a FIFO has no peer. A new number, which the caller owns.
    package static func open(_ path: String, _ flags: CInt) throws(IOError) -> CInt {
        // The kernel would open what stands before it.
        guard !path.utf8.contains(0) else {
            throw IOError(.invalidArgument, operation: "open", subject: "a path", detail: "it has a NUL inside")
        }
        if let standIn {
            return CInt(try check(standIn.open(Array(path.utf8), flags: flags, mode: 0o666), "open", path))
        }
        return CInt(try call("open", path) { unsafe Glibc.open(path, flags | O_CLOEXEC | O_NOCTTY, 0o666) })
    }

    /// A new pseudo-terminal: its master, which the caller owns, and the path of the other side.
    package static func openTerminal() throws(IOError) -> (master: CInt, path: String) {
        let master = Descriptor(owning: CInt(try call("open", "/dev/ptmx") { casyncio_open_terminal() }))
        var name = [CChar](repeating: 0, count: 128)
        try call("name", "terminal \(master.number)") {
            unsafe casyncio_terminal_name(master.number, &name, name.count)
        }
        let bytes = name.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }
        return (master.release(), String(decoding: bytes, as: UTF8.self))
    }

    /// The size of a terminal, in characters.
    package static func terminalSize(_ master: CInt) throws(IOError) -> (rows: UInt16, columns: UInt16) {
        var (rows, columns): (UInt16, UInt16) = (0, 0)
        try call("read size", "terminal \(master)") { unsafe casyncio_terminal_size(master, &rows, &columns) }
        return (rows, columns)
    }

    /// Changes the size of a terminal; its foreground processes get SIGWINCH.
    package static func setTerminalSize(_ master: CInt, rows: UInt16, columns: UInt16) throws(IOError) {
        try call("set size", "terminal \(master)") { casyncio_set_terminal_size(master, rows, columns) }
    }
}
