import AsyncIO
import Glibc

/// `23-job-runner AT-ONCE SECONDS COMMAND...` runs shell commands side by side, so many at once, each for so long at
/// most, and says how they have ended: what is behind `asyncio run`, in its smallest form.
@main
struct JobRunner {
    static func main() {
        let arguments = CommandLine.arguments
        guard arguments.count > 3, let limit = Int(arguments[1]), (1...256).contains(limit),
            let seconds = Double(arguments[2]), seconds > 0
        else {
            print("usage: 23-job-runner AT-ONCE SECONDS COMMAND...")
            exit(64)
        }
        do {
            let isGood = try EventLoop.run { try await run(Array(arguments[3...]), limit, .seconds(seconds)) }
            exit(isGood ? 0 : 1)
        } catch {
            print("23-job-runner: \(error)")
            exit(1)
        }
    }

    /// Whether all have done their work.
    static func run(_ texts: [String], _ limit: Int, _ time: Duration) async throws -> Bool {
        let ends = try await gatherEachResult(texts, limit: limit) { text in
            var command = Command.shell(text)
            // Whatever it starts is ended with it.
            command.group = .own
            return try await withTimeout(time) {
                try await Process.run(
                    command, error: .merge, limit: OutputLimit(10_000, excess: .drop),
                    termination: Termination(grace: .seconds(1), scope: .group))
            }
        }
        var isGood = true
        for (text, end) in zip(texts, ends) {
            switch end {
            case .success(let result):
                isGood = isGood && result.status.isSuccess
                print("\(text): \(result.status)")
                for line in result.outputText.split(separator: "\n") { print("    \(line)") }
                if result.isTruncated { print("    ... and more") }
            case .failure(let error):
                isGood = false
                print("\(text): \(error)")
            }
        }
        return isGood
    }
}
