#if HTTP
import AsyncIOHTTP
import AsyncIOKernel
import Glibc

/// What a fetch shows: on a terminal a bar for each file that comes, and otherwise a line for each that has come.
final class FetchDisplay: Sendable {
    private let loop: EventLoop
    private let began: Instant
    private let total: Int
    /// Standard output is for the bytes.
    private let isQuiet: Bool
    private let draws: Bool
    private let state = Locked(State())

    private struct State {
        var files: [FetchProgress] = []
        var drawnLines = 0
        var said: [String] = []
    }

    init(total: Int, isQuiet: Bool, on loop: EventLoop) {
        self.total = total
        self.isQuiet = isQuiet
        self.loop = loop
        began = loop.now
        draws = !isQuiet && Console.isTerminal
    }

    /// What others have made may not steer a terminal.
    private func shown(_ text: String) -> String {
        CleanText(String(text.map { $0.isNewline ? " " : $0 })).description
    }

    var hasFailures: Bool { state.withLock { $0.files.contains { $0.failure != nil } } }

    // MARK: What happens

    /// Returns the number by which the file is known.
    func begin(_ url: String) -> Int {
        state.withLock { state in
            state.files.append(FetchProgress(name: shown(url), began: loop.now))
            return state.files.count - 1
        }
    }

    func total(_ number: Int, _ bytes: Int?) { state.withLock { $0.files[number].total = bytes } }

    func add(_ number: Int, _ bytes: Int) { state.withLock { $0.files[number].come += bytes } }

    func end(_ number: Int, _ failure: String?) {
        let line = state.withLock { state in
            state.files[number].ended = loop.now
            // The name stands before it already.
            let name = state.files[number].name
            state.files[number].failure = failure.map(shown).map {
                $0.hasPrefix(name + ": ") ? String($0.dropFirst(name.count + 2)) : $0
            }
            return state.files[number].line
        }
        if draws {
            state.withLock { $0.said.append(line) }
        } else if !isQuiet {
            Console.say(line)
        }
    }

    /// Draws again, until the task is cancelled.
    func drawAgain() async throws {
        guard draws else { return }
        while true {
            draw()
            try await loop.sleep(for: .milliseconds(100))
        }
    }

    /// The last word: all together, and what has failed.
    func finish() {
        if draws { draw(isLast: true) }
        let (files, time) = (state.withLock { $0.files }, TimeSpan(began.duration(to: loop.now)))
        let failed = files.filter { $0.failure != nil }
        let come = files.count { $0.ended != nil && $0.failure == nil }
        let bytes = files.reduce(0) { $0 + $1.come }
        var lines = failed.count > 1 || draws && !failed.isEmpty ? failed.map(\.line) : []
        lines.append("\(come) of \(total) files, \(ByteCount(bytes)) in \(time)")
        if isQuiet {
            for file in failed { Console.complain("asyncio fetch: \(file.line)") }
        } else {
            for line in lines { Console.say(line) }
        }
    }

    private func draw(isLast: Bool = false) {
        let size = try? SystemCall.terminalSize(STDOUT_FILENO)
        let width = max(Int(size?.columns ?? 80) - 1, 30)
        let height = max(Int(size?.rows ?? 24) - 2, 1)
        let text = state.withLock { state in
            // Up to the first of the lines that are drawn again.
            var text = state.drawnLines > 0 ? "\u{1b}[\(state.drawnLines)F\u{1b}[J" : ""
            for line in state.said { text += line.prefix(width) + "\n" }
            state.said = []
            let running = isLast ? [] : state.files.filter { $0.ended == nil }
            let shown = running.prefix(height)
            for file in shown { text += file.bar(width: width, now: loop.now) + "\n" }
            state.drawnLines = shown.count
            return text
        }
        Console.draw(text)
    }
}

/// How far one file has come.
struct FetchProgress: Sendable {
    let name: String
    let began: Instant
    var total: Int?
    var come = 0
    var ended: Instant?
    var failure: String?

    /// What is said of it when it has ended.
    var line: String {
        if let failure { return "failed  \(name): \(failure)" }
        let time = TimeSpan(began.duration(to: ended ?? began))
        return "\(ByteCount(come).description.padded(9))  \(name)  (\(time))"
    }

    /// A bar as wide as it may be: `name [#####     ]  45 %  12 MB/s`.
    func bar(width: Int, now: Instant) -> String {
        let seconds = max(began.duration(to: now) / .seconds(1), 0.001)
        let speed = "\(ByteCount(Int(Double(come) / seconds)))/s"
        let part = total.map { $0 > 0 ? min(Double(come) / Double($0), 1) : 1 }
        let tail = part.map { " \("\(Int($0 * 100))".padded(3)) %  \(speed)" } ?? " \(ByteCount(come))  \(speed)"
        let room = max(width - tail.count - 3, 10)
        let label = name.count > room / 2 ? "…" + name.suffix(room / 2 - 1) : name
        let cells = max(room - label.count, 1)
        let full = Int(Double(cells) * (part ?? 0))
        return "\(label) [" + String(repeating: "#", count: full) + String(repeating: " ", count: cells - full) + "]"
            + tail
    }
}

/// A number of bytes as people read it: `900 B`, `1.5 MB`.
struct ByteCount: CustomStringConvertible {
    let bytes: Int

    init(_ bytes: Int) { self.bytes = bytes }

    var description: String {
        let units = ["B", "kB", "MB", "GB", "TB"]
        var number = Double(bytes)
        var unit = 0
        while number >= 1000, unit < units.count - 1 {
            number /= 1000
            unit += 1
        }
        let rounded = number < 10 && unit > 0 ? "\((number * 10).rounded() / 10)" : "\(Int(number.rounded()))"
        return "\(rounded) \(units[unit])"
    }
}

extension String {
    /// At least so wide, with blanks on the left.
    fileprivate func padded(_ width: Int) -> String { String(repeating: " ", count: max(width - count, 0)) + self }
}
#endif
