import AsyncIO
import Glibc

/// `files WORK WAY [N]`: what files cost, in operations a second of processor time and of the clock.
///
/// WORK and its WAYs:
/// - `reads`: random reads of 4 KiB from a 1 GiB file that the page cache holds, 32 tasks at once: `inline` (the
///   library's way), `pool` (pread(2) on a thread of the pool).
/// - `copy`: a 1 GiB file: `kernel` (`File.copy`), `chunks` (read ahead and written), `cp` (the command).
/// - `small`: 10,000 files of 4 KiB, opened, read and closed: `inline` (`File.readAll`), `handles` (`File.open`,
///   `read`, `close`), `pool` (one piece of blocking work for each).
@main
struct Files {
    static func main() throws {
        let arguments = CommandLine.arguments
        guard arguments.count >= 3 else { usage() }
        let count = arguments.count > 3 ? Int(arguments[3]) : nil
        try EventLoop.run {
            let folder = FilePath(environment("FILES_FOLDER") ?? "/tmp/asyncio-files")
            try await Folder.makeAll(folder)
            switch arguments[1] {
            case "reads": try await reads(arguments[2], count ?? 300_000, in: folder)
            case "copy": try await copy(arguments[2], in: folder)
            case "small": try await small(arguments[2], count ?? 10_000, in: folder)
            default: usage()
            }
        }
    }

    static func usage() -> Never {
        print("usage: files reads inline|pool [N] | copy kernel|chunks|cp | small inline|handles|pool [N]")
        exit(64)
    }

    static func environment(_ name: String) -> String? { getenv(name).map { String(cString: $0) } }

    // MARK: Random reads

    static func reads(_ way: String, _ count: Int, in folder: FilePath) async throws {
        let path = try await bigFile(in: folder)
        let file = try await File.open(path)
        let blocks = Int64(1 << 30) / 4_096
        // Into the page cache.
        for try await _ in file.chunks(size: 1 << 20) {}
        let loop = file.loop
        let measured = Measured()
        try await withThrowingTaskGroup(of: Void.self) { group in
            for task in 0..<32 {
                group.addTask {
                    var random = SplitMix(state: UInt64(task))
                    switch way {
                    case "inline":
                        var buffer = IOBuffer(capacity: 4_096)
                        for _ in 0..<count / 32 {
                            buffer.removeAll()
                            let offset = Int64(random.next() % UInt64(blocks)) * 4_096
                            guard try await file.read(into: &buffer, at: offset) == 4_096 else { fatalError("short") }
                        }
                    case "pool":
                        for _ in 0..<count / 32 {
                            let offset = Int64(random.next() % UInt64(blocks)) * 4_096
                            try await file.withDescriptor { number in
                                let bytes = try await loop.offload {
                                    [UInt8](unsafeUninitializedCapacity: 4_096) { memory, filled in
                                        filled = pread(number, memory.baseAddress, 4_096, off_t(offset))
                                    }
                                }
                                guard bytes.count == 4_096 else { fatalError("short") }
                            }
                        }
                    default: usage()
                    }
                }
            }
            try await group.waitForAll()
        }
        measured.report("reads \(way)", count / 32 * 32)
    }

    static func bigFile(in folder: FilePath) async throws -> FilePath {
        let path = folder.appending("big")
        if let information = try? await File.information(at: path), information.size == 1 << 30 { return path }
        try await withFile(path, .writing(.createOrTruncate)) { file in
            var random = SplitMix(state: 1)
            var piece: [UInt8] = []
            for _ in 0..<(1 << 20) / 8 { withUnsafeBytes(of: random.next()) { piece += Array($0) } }
            for _ in 0..<1_024 { try await file.write(piece) }
            try await file.sync()
        }
        return path
    }

    // MARK: Copies

    static func copy(_ way: String, in folder: FilePath) async throws {
        let path = try await bigFile(in: folder)
        for try await _ in File.chunks(of: path, size: 1 << 20) {}
        let target = folder.appending("copy")
        try? await File.remove(target)
        let measured = Measured()
        switch way {
        case "kernel": try await File.copy(path, to: target)
        case "chunks":
            try await withFile(target, .writing(.createNew)) { file in
                for try await piece in File.chunks(of: path, size: 1 << 20) { try await file.write(piece) }
            }
        case "cp":
            let command = "cp --reflink=auto \(path) \(target)"
            _ = try await offload { system(command) }
        default: usage()
        }
        measured.report("copy \(way), MiB", 1_024)
        try await File.remove(target)
    }

    // MARK: Small files

    static func small(_ way: String, _ count: Int, in folder: FilePath) async throws {
        let many = folder.appending("small")
        try await Folder.makeAll(many)
        let paths = (0..<count).map { "\(many)/\($0)" }
        let content = [UInt8](repeating: 7, count: 4_096)
        for path in paths where try await !File.exists(at: path) { try await File.writeAll(path, content) }
        // Into the page cache.
        for path in paths { _ = try await File.readAll(path) }
        let loop = try await File.open("/dev/null").loop
        let measured = Measured()
        var bytes = 0
        switch way {
        case "inline":
            for path in paths { bytes += try await File.readAll(path).count }
        case "handles":
            for path in paths {
                let file = try await File.open(path)
                bytes += try await file.read()?.count ?? 0
                try await file.close()
            }
        case "pool":
            for path in paths {
                bytes += try await loop.offload {
                    let number = open(path, O_RDONLY | O_CLOEXEC)
                    defer { close(number) }
                    var status = stat()
                    fstat(number, &status)
                    return [UInt8](unsafeUninitializedCapacity: Int(status.st_size)) { memory, filled in
                        filled = read(number, memory.baseAddress, memory.count)
                    }
                }.count
            }
        default: usage()
        }
        guard bytes == count * 4_096 else { fatalError("\(bytes) bytes") }
        measured.report("small \(way)", count)
    }
}

/// The clock and the processor time since it was made.
struct Measured {
    let start = ContinuousClock.now
    let processor = Measured.processorTime()

    func report(_ name: String, _ count: Int) {
        let wall = start.duration(to: .now) / .seconds(1)
        let processor = Measured.processorTime() - processor
        print(
            "\(name): \(Int(Double(count) / processor)) a processor second, \(Int(Double(count) / wall)) a second, "
                + "\(Int(processor * 1e9 / Double(count))) ns each")
    }

    /// Processor time so far, of this process and those it has waited for, in seconds.
    static func processorTime() -> Double {
        [RUSAGE_SELF.rawValue, RUSAGE_CHILDREN.rawValue].reduce(0) { sum, who in
            var usage = rusage()
            getrusage(__rusage_who_t(who), &usage)
            let seconds = Double(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec)
            return sum + seconds + Double(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6
        }
    }
}

struct SplitMix {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var bits = state
        bits = (bits ^ (bits >> 30)) &* 0xbf58_476d_1ce4_e5b9
        bits = (bits ^ (bits >> 27)) &* 0x94d0_49bb_1331_11eb
        return bits ^ (bits >> 31)
    }
}
