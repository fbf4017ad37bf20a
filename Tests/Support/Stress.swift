import Glibc

/// The tests that take long run in a smaller version unless `ASYNCIO_STRESS=1` asks for the whole, as `.ci/run` does.
package enum Stress {
    package static let isOn = unsafe getenv("ASYNCIO_STRESS").map { unsafe String(cString: $0) } == "1"

    /// One number or the other, and a line that says which.
    package static func count(_ name: String, few: Int, many: Int) -> Int {
        if !isOn { print("\(name): \(few) rounds; ASYNCIO_STRESS=1 runs \(many)") }
        return isOn ? many : few
    }

    /// Steps of a model check.
    package static let modelSteps = isOn ? 1_000_000 : 100_000

    /// The same where several seeds share them.
    package static let modelStepsPerSeed = modelSteps / Randomness.seeds.count

    /// Rounds of a race between threads.
    package static let raceRounds = isOn ? 1_000_000 : 20_000

    /// Items that threads hand to each other.
    package static let items = isOn ? 400_000 : 8_000
}
