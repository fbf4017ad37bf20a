import AsyncIO
import Synchronization

/// What a job has written, both of its streams in the order of the writing: the last of it, up to a limit.
final class JobOutput: Sendable {
    private let limit: Int
    private let state = Mutex(State())

    private struct State {
        var bytes: [UInt8] = []
        var dropped = 0
    }

    init(limit: Int) { self.limit = limit }

    /// Reads until the end, or until the task is cancelled. What is beyond the limit is read as well: the job goes on.
    func collect(from stream: PipeStream) async {
        while let bytes = try? await stream.read() { append(bytes) }
    }

    private func append(_ more: [UInt8]) {
        state.withLock { state in
            state.bytes += more
            // Not at every step: what is kept is moved then.
            if state.bytes.count > 2 * limit + 65_536 { Self.cut(&state, limit) }
        }
    }

    private static func cut(_ state: inout State, _ limit: Int) {
        let excess = state.bytes.count - limit
        guard excess > 0 else { return }
        state.bytes.removeFirst(excess)
        state.dropped += excess
    }

    /// What was cut may begin in the midst of a line.
    private static func cutHalfALine(_ state: inout State) {
        guard state.dropped > 0, let end = state.bytes.firstIndex(of: UInt8(ascii: "\n")) else { return }
        guard end < state.bytes.count - 1 else { return }
        state.bytes.removeFirst(end + 1)
        state.dropped += end + 1
    }

    /// The lines, each with a mark before it, and a note first if some are missing.
    func marked(_ mark: String) -> [UInt8] {
        let (bytes, dropped) = state.withLock { state in
            Self.cut(&state, limit)
            Self.cutHalfALine(&state)
            return (state.bytes, state.dropped)
        }
        var text: [UInt8] = []
        if dropped > 0 { text += Array("\(mark)... \(dropped) bytes before this are left out\n".utf8) }
        for line in bytes.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false) {
            text += Array(mark.utf8) + line + [UInt8(ascii: "\n")]
        }
        // What comes after the last line end is no line, if it is nothing.
        if bytes.isEmpty || bytes.last == UInt8(ascii: "\n") { text.removeLast(mark.utf8.count + 1) }
        return text
    }
}
