import AsyncIO
import Foundation

/// `server | 22-log-rotator FILE [BYTES] [KEEP]` writes its input to a file, and begins a new one when that is full
/// or when SIGHUP comes: `FILE` becomes `FILE.1`, that `FILE.2`, and so on; the oldest goes. No line is cut in two.
///
/// Ctrl-C and SIGTERM mostly mean the program before it as well, whose last words should not be lost: what comes within
/// a second is still written, and it waits until all of it is on the disk.
@main
struct LogRotator {
    static func main() {
        let arguments = CommandLine.arguments
        let bytes = arguments.count > 2 ? Int(arguments[2]) ?? 0 : 10 << 20
        let kept = arguments.count > 3 ? Int(arguments[3]) ?? 0 : 5
        guard (2...4).contains(arguments.count), bytes > 0, (1...1000).contains(kept) else {
            print("usage: 22-log-rotator FILE [BYTES] [KEEP, up to 1000]")
            exit(64)
        }
        do {
            // Whoever listens to Ctrl-C himself is not cancelled by it.
            try EventLoop.run { try await rotate(Log(path: FilePath(arguments[1]), limit: bytes, kept: kept)) }
        } catch {
            FileHandle.standardError.write(Data("22-log-rotator: \(error)\n".utf8))
            exit(1)
        }
    }

    enum Event: Sendable { case bytes([UInt8]), rotate }

    static func rotate(_ log: Log) async throws {
        let signals = try Signals(.hangup, .interrupt, .terminate, ignored: .isHeard)
        let input = try await StandardStream.open()
        // What happens, in order, for one task that does it all: no lock. Short, so that a slow disk slows the input.
        let events = AsyncQueue<Event>(capacity: 16)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                while let bytes = try await input.read() { try await events.put(.bytes(bytes)) }
                events.finish()
            }
            group.addTask {
                var hasToEnd = false
                while !hasToEnd, let signal = try await signals.next() {
                    if signal == .hangup { try await events.put(.rotate) } else { hasToEnd = true }
                }
                try await Task.sleep(for: .seconds(1))
                events.finish()
            }
            group.addTask {
                var log = log
                try await log.open()
                for try await event in events {
                    switch event {
                    case .bytes(let bytes): try await log.write(bytes)
                    case .rotate: try await log.rotate()
                    }
                }
                try await log.close()
                throw Done()
            }
            // The last one to work ends the others; an error of theirs ends it as well.
            do { for try await _ in group {} } catch is Done { group.cancelAll() }
        }
    }

    struct Done: Error {}
}

/// A log file, and the older ones beside it.
struct Log: Sendable {
    let path: FilePath
    let limit: Int
    let kept: Int
    private var file: File?
    private var size = 0
    /// Whether the last byte was a line's end.
    private var isAtLineStart = true

    init(path: FilePath, limit: Int, kept: Int) {
        (self.path, self.limit, self.kept) = (path, limit, kept)
    }

    /// Goes on with the file that there is.
    mutating func open() async throws {
        let file = try await File.open(path, .appending)
        size = Int(try await file.information().size)
        self.file = file
    }

    /// Writes whole lines, and begins a new file where the next one has no room. A line that is longer than a file gets
    /// one for itself.
    mutating func write(_ bytes: [UInt8]) async throws {
        var rest = bytes[...]
        while !rest.isEmpty {
            let room = max(limit - size, 0)
            if rest.count <= room {
                try await append(rest)
                rest = []
            } else if let end = rest.prefix(room).lastIndex(of: UInt8(ascii: "\n")) {
                try await append(rest[...end])
                rest = rest[(end + 1)...]
                try await rotate()
            } else if size > 0, isAtLineStart {
                try await rotate()
            } else {
                let end = rest.firstIndex(of: UInt8(ascii: "\n")) ?? rest.endIndex - 1
                try await append(rest[...end])
                rest = rest[(end + 1)...]
            }
        }
    }

    private mutating func append(_ bytes: ArraySlice<UInt8>) async throws {
        try await file?.write(Array(bytes))
        size += bytes.count
        isAtLineStart = bytes.last == UInt8(ascii: "\n")
    }

    /// Each step is one rename: whenever somebody looks, and wherever the power fails, every line is in one of them.
    mutating func rotate() async throws {
        try await close()
        for number in (0..<kept).reversed() {
            do {
                try await File.rename(name(number), to: name(number + 1), existing: .replace)
            } catch let error as IOError where error.code == .noSuchFileOrDirectory {}
        }
        try await open()
    }

    /// Returns when all is on the disk.
    mutating func close() async throws {
        try await file?.sync(.data)
        try await file?.close()
        file = nil
    }

    private func name(_ number: Int) -> String { number == 0 ? path.string : "\(path).\(number)" }
}
