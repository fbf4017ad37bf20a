import AsyncIO
import Foundation

/// `21-tail-follow FILE [LINES]` prints the last lines of a file, and goes on with what is written to it: `tail -F`.
///
/// It notices that the file is cut (`> FILE`) and begins again at the start, and that the name belongs to another file
/// (a rotated log): the old one is read to its end, then the new one from its start. A file that is not there is waited
/// for. Nothing polls: the folder is watched, since a watch of the file would stay with the old one.
@main
struct TailFollow {
    static func main() {
        let arguments = CommandLine.arguments
        let lines = arguments.count > 2 ? Int(arguments[2]) : 10
        guard (2...3).contains(arguments.count), let lines, lines >= 0 else {
            print("usage: 21-tail-follow FILE [LINES]")
            exit(64)
        }
        do {
            try EventLoop.run { try await follow(FilePath(arguments[1]), lines) }
        } catch let error as IOError where error.code == .brokenPipe {
            // Nobody reads any more, as after `| head`.
        } catch {
            say("\(error)")
            exit(1)
        }
    }

    static func follow(_ path: FilePath, _ lines: Int) async throws {
        let folder = path.removingLastComponent()
        // Watched first and read then: what happens in between is told.
        let watcher = try await FileWatcher.open(folder.isEmpty ? "." : folder)
        var tail = Tail(path: path, output: try await StandardStream.open())
        try await tail.begin(lines)
        for try await event in watcher
        where event.path.lastComponent == path.lastComponent || event.kind == .overflow {
            try await tail.catchUp()
        }
        say("\(folder) is gone")
    }

    static func say(_ line: String) { FileHandle.standardError.write(Data("21-tail-follow: \(line)\n".utf8)) }
}

/// A file that is followed. Whatever the event was: what counts is what there is now.
struct Tail {
    let path: FilePath
    let output: StandardStream
    private var file: File?

    init(path: FilePath, output: StandardStream) {
        self.path = path
        self.output = output
    }

    /// Prints the last lines, of the last 64 KiB.
    mutating func begin(_ lines: Int) async throws {
        guard let file = try await openIfThere() else { return }
        self.file = file
        let size = try await file.information().size
        let start = max(size - 65_536, 0)
        // Only what it had then: what is written meanwhile comes next, without a gap.
        var last: [UInt8] = []
        while last.count < size - start,
            let more = try await file.read(upTo: Int(size - start) - last.count, at: start + Int64(last.count))
        {
            last += more
        }
        try await file.seek(to: start + Int64(last.count))
        let ends = last.dropLast().indices.filter { last[$0] == UInt8(ascii: "\n") }
        let first = lines == 0 ? last.count : ends.count >= lines ? ends[ends.count - lines] + 1 : 0
        try await output.write(Array(last[first...]))
        try await catchUp()
    }

    /// Prints what is new.
    mutating func catchUp() async throws {
        while true {
            if let file { try await printRest(of: file) }
            guard let named = try? await File.information(at: path), named.kind == .regular else { return }
            if let file, try await file.information().isSame(as: named) { return }
            // Another file has the name. Its bytes are the next ones: the old one has been read to its end.
            let next = try await openIfThere()
            if let old = file {
                TailFollow.say("\(path) has been replaced")
                try await printRest(of: old)
                try await old.close()
            }
            file = next
            if next == nil { return }
        }
    }

    private func printRest(of file: File) async throws {
        if try await file.information().size < file.position {
            // One that has grown beyond its old size again in this moment cannot be told from one that grew only.
            TailFollow.say("\(path) has been cut")
            try await file.seek(to: 0)
        }
        while let bytes = try await file.read() { try await output.write(bytes) }
    }

    private func openIfThere() async throws -> File? {
        do {
            return try await File.open(path)
        } catch let error as IOError where error.code == .noSuchFileOrDirectory {
            return nil
        }
    }
}

extension FileInformation {
    /// Whether both are about one file, whatever its names are.
    func isSame(as other: FileInformation) -> Bool { inode == other.inode && device == other.device }
}
