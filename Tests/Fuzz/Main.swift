// Feeds what takes strangers' bytes apart with what strangers might send, in memory, as fast as it goes: for a night,
// under the address sanitizer. CONTRIBUTING says how.
#if HTTP && FUZZ
import AsyncIOTesting
import Glibc

@testable import AsyncIOHTTP

/// `web-fuzz TARGET|all RUNS [SEED]`: so many inputs for a target, or for each. Says what it did, and ends with 1 if
/// one input meant two things; a crash names the ten thousand runs that it is among, and a hang is ended by SIGVTALRM.
@main
struct Main {
    static func main() {
        let arguments = CommandLine.arguments.dropFirst()
        let name = arguments.first ?? "all"
        let runs = arguments.dropFirst().first.flatMap { Int($0) } ?? 100_000
        let seed = arguments.dropFirst(2).first.flatMap { UInt64($0) } ?? .random(in: 0...UInt64(UInt32.max))
        var failures = 0
        for target in targets where name == "all" || name == target.name {
            failures += fuzz(target, runs: runs, seed: seed)
        }
        exit(failures == 0 ? 0 : 1)
    }

    static let targets: [Target] = [
        Target(name: "requests") { HTTPFuzz.run(.requests, &$0) },
        Target(name: "responses") { HTTPFuzz.run(.responses, &$0) },
        Target(name: "multipart", run: MultipartFuzz.run), Target(name: "frames", run: FrameFuzz.run),
    ]

    /// Something that is fed. Each run makes an input of its own, and says what is wrong with what became of it.
    struct Target: Sendable {
        let name: String
        let run: @Sendable (inout Randomness) -> Verdict
    }

    /// What became of an input.
    enum Verdict {
        /// It was understood to its end.
        case understood
        case refused
        case wrong(String)
    }

    /// So many inputs in a row may take so many seconds of processor time together, before it counts as a hang.
    private static let batch = 10_000
    private static let patience = 300

    private static func fuzz(_ target: Target, runs: Int, seed: UInt64) -> Int {
        let clock = ContinuousClock()
        let begin = clock.now
        var failures = 0
        var refused = 0
        var slowest = Duration.zero
        for run in 0..<runs {
            if run.isMultiple(of: batch) {
                limit(seconds: patience)
                say("\(target.name): run \(run), seed \(seed)", to: stderrFile)
            }
            // Each run can be repeated alone.
            var random = Randomness(seed: seed &+ UInt64(run) &* 0x9e37_79b9)
            let start = clock.now
            switch target.run(&random) {
            case .understood: break
            case .refused: refused += 1
            case .wrong(let what):
                failures += 1
                if failures <= 10 { say("\(target.name): run \(run), seed \(seed): \(what)", to: stdoutFile) }
            }
            slowest = max(slowest, clock.now - start)
        }
        limit(seconds: 0)
        say(
            "\(target.name): \(runs) runs in \((clock.now - begin).components.seconds) s, seed \(seed), "
                + "\(refused) refused, slowest \(slowest), \(failures) wrong", to: stdoutFile)
        return failures
    }

    /// Ends the process after so much processor time; never, if it is 0.
    private static func limit(seconds: Int) {
        var timer = itimerval()
        timer.it_value.tv_sec = seconds
        unsafe setitimer(__itimer_which_t(ITIMER_VIRTUAL.rawValue), &timer, nil)
    }

    private static let stdoutFile: CInt = 1
    private static let stderrFile: CInt = 2

    /// Without a buffer, so that a crash does not take the line with it.
    private static func say(_ line: String, to file: CInt) {
        let bytes = Array((line + "\n").utf8)
        _ = unsafe bytes.withUnsafeBytes { unsafe write(file, $0.baseAddress, $0.count) }
    }
}
#else
@main
struct Main {
    static func main() {}
}
#endif
