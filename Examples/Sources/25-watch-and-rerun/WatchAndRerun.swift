import AsyncIO
import Glibc

/// `25-watch-and-rerun FOLDER COMMAND...` runs a command, and runs it again whenever something in the folder has
/// changed and it is quiet again; one that still runs then is ended first, with all that it has started. Ctrl-C ends
/// both. `25-watch-and-rerun Sources swift build`
///
/// What the command writes should be elsewhere: it would start itself again and again.
@main
struct WatchAndRerun {
    /// An editor that saves, or a checkout, does many things in a row. That many milliseconds without one is quiet.
    static let quiet = Duration.milliseconds(100)

    static func main() {
        let words = CommandLine.arguments
        guard words.count > 2 else {
            print("usage: 25-watch-and-rerun FOLDER COMMAND...")
            exit(64)
        }
        do {
            try EventLoop.run(options: EventLoop.Options(interrupts: [.interrupt, .terminate])) {
                try await watch(words[1], Command(words[2], Array(words[3...]), group: .own))
            }
        } catch {
            print("25-watch-and-rerun: \(error)")
            exit(1)
        }
    }

    static func watch(_ folder: String, _ command: Command) async throws {
        let watcher = try await FileWatcher.open(folder, depth: .tree)
        var isThere = true
        while isThere {
            // The one that wins is the change, always: the loser, ended and awaited, is the command.
            isThere = try await race(
                { try await change(in: watcher) },
                {
                    try await run(command)
                    // Done: nothing to end when something changes.
                    try await EventLoop.current?.sleep(for: .seconds(1 << 30))
                    return true
                }, until: .firstToFinish)
        }
        say("\(folder) is gone")
    }

    /// Returns when something has changed and it is quiet again; false if the folder is gone.
    static func change(in watcher: FileWatcher) async throws -> Bool {
        let events = watcher.makeAsyncIterator()
        var path: FilePath?
        while true {
            do {
                // A step that is given up loses no event.
                let event = try await withTimeout(path == nil ? .seconds(1 << 30) : quiet) { try await events.next() }
                guard let event else { return false }
                if event.isChange { path = event.path }
            } catch is TimeoutError {
                guard let path else { continue }
                say("\(path) has changed")
                return true
            }
        }
    }

    static func run(_ command: Command) async throws {
        say("\(command)")
        let termination = Termination(grace: .seconds(2), scope: .group)
        let status = try await Process.spawn(command, input: .null, termination: termination) { process in
            try await process.wait()
        }
        say("\(status)")
    }

    static func say(_ line: String) {
        print("-- \(line)")
        fflush(nil)
    }
}

extension FileEvent {
    /// Whether it may be the reason for another result. Something half written is none yet, nor is a new time.
    var isChange: Bool {
        switch kind {
        case .modified, .attributesChanged, .notWatched: false
        default: true
        }
    }
}
