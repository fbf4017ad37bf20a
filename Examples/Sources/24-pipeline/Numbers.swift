import AsyncIO
import Glibc

/// `24-pipeline COUNT FILE` makes random numbers, and lets sort(1) and gzip(1) put them in order and pack them:
/// `generate | sort -n | gzip > FILE`, where the first one is this program.
///
/// Nowhere is more than a pipe's worth under way: a write to `sort` waits until that takes it, and `gzip` reads from
/// `sort` without us. However many numbers, this program's memory stays as it is.
@main
struct Numbers {
    static func main() {
        let arguments = CommandLine.arguments
        guard arguments.count == 3, let count = Int(arguments[1]), count >= 0 else {
            print("usage: 24-pipeline COUNT FILE")
            exit(64)
        }
        do {
            try EventLoop.run { try await generate(count, into: arguments[2]) }
        } catch {
            print("24-pipeline: \(error)")
            exit(1)
        }
    }

    static func generate(_ count: Int, into path: String) async throws {
        let sort = Command("sort", ["-n"], environment: .inherit(adding: ["LC_ALL": "C"]))
        let pipeline = Pipeline([sort, Command("gzip", ["-n"])])
        let (bytes, statuses) = try await pipeline.spawn(input: .pipe, output: .file(path)) { processes in
            let bytes = try await write(count, to: processes[0])
            // Both have ended before we look: an error in the middle of a pipeline is one of the pipeline.
            return (bytes, try await gatherEach(processes, limit: 2) { try await $0.wait() })
        }
        for (command, status) in zip(pipeline.commands, statuses) where !status.isSuccess {
            throw IOError(.ioError, operation: "run", subject: "\(command)", detail: "it has \(status)")
        }
        let packed = try await File.information(at: path).size
        print("\(count) numbers, \(bytes) bytes, packed into \(packed)")
    }

    static func write(_ count: Int, to sort: Process) async throws -> Int {
        guard let input = sort.input else { return 0 }
        // It sees the end of its input then, and begins to print.
        defer { input.close() }
        var bytes = 0
        do {
            var left = count
            while left > 0 {
                let lines = (0..<min(left, 4096)).map { _ in "\(UInt32.random(in: .min ... .max))\n" }.joined()
                try await input.write(lines)
                bytes += lines.utf8.count
                left -= min(left, 4096)
            }
        } catch let error as IOError where error.code == .brokenPipe {
            // It has ended early; how, its status says.
        }
        return bytes
    }
}
