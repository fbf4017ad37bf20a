import AsyncIO
import Foundation

/// `20-file-hasher [FOLDER] [AT ONCE]` prints a checksum of every file in a folder and below it, sorted by path, and
/// draws a bar on standard error meanwhile if that is a terminal.
///
/// The checksum is CRC-32, as in gzip: it finds accidents. Nobody who means harm is kept away by it; that takes
/// SHA-256, from a library such as swift-crypto, in the same place.
///
/// One task walks, so many others read and calculate. Between them is a short queue: a huge tree is never listed in
/// memory. Reading waits in the kernel, and calculating happens on the loop's pool of threads, so that the bar moves.
@main
struct FileHasher {
    static func main() {
        let arguments = CommandLine.arguments
        let folder = arguments.count > 1 ? arguments[1] : "."
        let limit = arguments.count > 2 ? Int(arguments[2]) ?? 0 : 8
        guard arguments.count <= 3, (1...256).contains(limit) else {
            print("usage: 20-file-hasher [FOLDER] [AT ONCE, up to 256]")
            exit(64)
        }
        do {
            let isWhole = try EventLoop.run { try await hashAll(folder, limit) }
            exit(isWhole ? 0 : 1)
        } catch {
            complain("\(error)")
            exit(1)
        }
    }

    /// False if some could not be read.
    static func hashAll(_ folder: String, _ limit: Int) async throws -> Bool {
        let tally = Tally()
        let queue = AsyncQueue<FilePath>(capacity: 64)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                for try await entry in Folder.walk(folder) {
                    if let error = entry.error { await tally.failed(error) }
                    guard entry.kind == .regular else { continue }
                    await tally.found()
                    try await queue.put(entry.path)
                }
                queue.finish()
            }
            for _ in 0..<limit {
                group.addTask {
                    for try await path in queue {
                        do {
                            await tally.hashed(path, try await checksum(of: path, tally))
                        } catch let error as IOError {
                            await tally.failed(error)
                        }
                    }
                }
            }
            // The first error ends all of them; waitForAll() would wait first.
            for try await _ in group {}
        }
        return await tally.finish()
    }

    static func checksum(of path: FilePath, _ tally: Tally) async throws -> CRC32 {
        var sum = CRC32()
        // While one piece is worked on, the next ones are on their way.
        for try await chunk in File.chunks(of: path) {
            sum = try await offload(name: "checksum") { [sum] in sum.adding(chunk) }
            await tally.read(chunk.count)
        }
        return sum
    }

    static func complain(_ line: String) { show("20-file-hasher: \(line)\n") }

    static func show(_ text: String) { FileHandle.standardError.write(Data(text.utf8)) }
}

/// What has been done. On the main actor, which is the loop: nobody needs a lock.
@MainActor
final class Tally {
    private var sums: [(path: FilePath, sum: CRC32)] = []
    private var (filesFound, failures, bytes) = (0, 0, 0)
    private var drawn = ContinuousClock.now
    private let hasBar = isatty(STDERR_FILENO) == 1
    nonisolated init() {}

    func found() { filesFound += 1 }

    func read(_ count: Int) {
        bytes += count
        draw(every: .milliseconds(50))
    }

    func hashed(_ path: FilePath, _ sum: CRC32) {
        sums.append((path, sum))
        draw(every: .milliseconds(50))
    }

    func failed(_ error: IOError) {
        failures += 1
        if hasBar { FileHasher.show("\r\u{1b}[K") }
        FileHasher.complain("\(error)")
    }

    func finish() -> Bool {
        draw(every: .zero)
        if hasBar { FileHasher.show("\n") }
        for (path, sum) in sums.sorted(by: { $0.path.string < $1.path.string }) { print("\(sum)  \(path)") }
        return failures == 0
    }

    private func draw(every pause: Duration) {
        guard hasBar, drawn.duration(to: .now) >= pause else { return }
        drawn = .now
        let done = sums.count + failures
        let length = filesFound > 0 ? min(30 * done / filesFound, 30) : 0
        let bar = String(repeating: "#", count: length) + String(repeating: ".", count: 30 - length)
        FileHasher.show("\r\u{1b}[K[\(bar)] \(done)/\(filesFound) files, \(bytes >> 10) KiB")
    }
}

/// The checksum of gzip and PNG (ISO 3309), a byte at a time.
struct CRC32: Sendable, CustomStringConvertible {
    private var state: UInt32 = 0xffff_ffff

    private static let table: [UInt32] = (0..<256).map { byte in
        (0..<8).reduce(UInt32(byte)) { value, _ in value & 1 == 0 ? value >> 1 : value >> 1 ^ 0xedb8_8320 }
    }

    func adding(_ bytes: [UInt8]) -> CRC32 {
        let table = Self.table
        var sum = self
        for byte in bytes { sum.state = sum.state >> 8 ^ table[Int((sum.state ^ UInt32(byte)) & 0xff)] }
        return sum
    }

    var description: String {
        let digits = String(state ^ 0xffff_ffff, radix: 16)
        return String(repeating: "0", count: 8 - digits.count) + digits
    }
}
