import Glibc

/// A generator whose seed repeats a run: SplitMix64 (Steele, Lea, Flood 2014). A failing test prints ``note``.
package struct Randomness: RandomNumberGenerator {
    package let seed: UInt64
    private var state: UInt64

    /// What `ASYNCIO_SEED` asks for.
    package static let wanted = unsafe getenv("ASYNCIO_SEED").flatMap { unsafe UInt64(String(cString: $0)) }

    /// A few seeds that never change and a fresh one, or the one that `ASYNCIO_SEED` asks for.
    package static let seeds: [UInt64] = wanted.map { [$0] } ?? [0, 1, .random(in: .min ... .max)]

    /// Draws from a seed of its own, or from the one that `ASYNCIO_SEED` asks for.
    package init() { self.init(seed: Self.wanted ?? .random(in: .min ... .max)) }

    /// Draws from this seed.
    package init(seed: UInt64) {
        self.seed = seed
        state = seed
    }

    package mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var bits = state
        bits = (bits ^ (bits >> 30)) &* 0xbf58_476d_1ce4_e5b9
        bits = (bits ^ (bits >> 27)) &* 0x94d0_49bb_1331_11eb
        return bits ^ (bits >> 31)
    }

    package mutating func bytes(_ count: Int) -> [UInt8] {
        (0..<count).map { _ in UInt8(truncatingIfNeeded: next()) }
    }

    /// What repeats the run.
    package var note: String { "repeat with ASYNCIO_SEED=\(seed)" }
}
