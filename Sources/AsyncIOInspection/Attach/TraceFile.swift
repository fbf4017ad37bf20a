import AsyncIOKernel
import AsyncIOLoop
import Glibc

/// A trace of the whole process, for which its environment has asked: `ASYNCIO_TRACE=out.html`, or a name that ends in
/// `.json`; `%p` in it stands for the process's number.
///
/// Written when the last loop ends, at exit(3), and before the process ends by a signal that has interrupted its loop:
/// each time all that was recorded since the program's start. Not where the trace has been ended by somebody else
/// before, who has it then; and a program that runs one loop after the other is not kept from it: see ``WritingPace``.
enum TraceFile {
    private struct State {
        var path = ""
        var process: Int32 = 0
        var pace = WritingPace()
        /// Nothing has happened since it was written.
        var isComplete = false
    }

    private static let state = Locked(State())

    /// Begins to record.
    static func begin(_ path: String) {
        let process = getpid()
        let parts = path.split(separator: "%p", omittingEmptySubsequences: false)
        state.withLock { $0 = State(path: parts.joined(separator: "\(process)"), process: process) }
        Inspection.startTrace()
        atexit { TraceFile.write() }
    }

    /// The process's last loop has ended: there may be more.
    static func loopsHaveEnded() {
        let isDue = state.withLock { state in
            state.isComplete = state.pace.isDue(at: .monotonicNow)
            return state.isComplete
        }
        if isDue { writeNow() }
    }

    /// Writes what was recorded so far, unless that has been done.
    static func write() {
        let hasLoops = !ProcessInspector.shared.loops.isEmpty
        if state.withLock({ hasLoops || !$0.isComplete }) { writeNow() }
    }

    private static func writeNow() {
        let file = state.withLock { $0 }
        // A child that was forked has this memory, but not the loops.
        guard !file.path.isEmpty, file.process == getpid(), let session = TraceSession.current else { return }
        let began = Instant.monotonicNow
        defer { state.withLock { $0.pace.hasWritten(from: began, to: .monotonicNow) } }
        let recording = session.gather(timeout: .milliseconds(500), isOver: false)
        guard !recording.loops.isEmpty else { return }
        let form: TraceForm = file.path.hasSuffix(".json") ? .json : .html
        // Whoever looks meanwhile sees the former one, or none.
        let draft = "\(file.path).\(file.process).new"
        do {
            let bytes = recording.bytes(form)
            // In a folder that others may write to, nobody's link leads elsewhere.
            unsafe unlink(draft)
            let flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC
            let number = try SystemCall.call("open", draft) { unsafe open(draft, flags, 0o666) }
            let descriptor = Descriptor(owning: CInt(truncatingIfNeeded: number))
            try SystemCall.writeAll(bytes, to: descriptor.number)
            descriptor.close()
            try SystemCall.call("rename to", file.path) { unsafe rename(draft, file.path) }
        } catch {
            StandardError.write("asyncio: the trace is not written: \(error)")
        }
    }
}

/// How often a file is written: such that it takes a tenth of the time at most.
struct WritingPace {
    private var next = Instant.distantPast

    func isDue(at now: Instant) -> Bool { now >= next }

    mutating func hasWritten(from start: Instant, to end: Instant) {
        next = end.advanced(by: start.duration(to: end) * 9)
    }
}

extension TraceRecording {
    /// As it is handed over.
    func bytes(_ form: TraceForm) -> [UInt8] {
        switch form {
        case .html: Array(html().utf8)
        case .json: Array(chromeJSON().utf8)
        }
    }
}
