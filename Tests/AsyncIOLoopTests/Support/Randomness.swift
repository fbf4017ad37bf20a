import Glibc

/// A generator whose seed repeats a run: SplitMix64. A failing test prints the seed, and `ASYNCIO_SEED=…` repeats it.
struct Randomness: RandomNumberGenerator {
    let seed: UInt64
    private var state: UInt64

    init() {
        let wanted = unsafe getenv("ASYNCIO_SEED").flatMap { unsafe UInt64(String(cString: $0)) }
        seed = wanted ?? UInt64.random(in: .min ... .max)
        state = seed
    }

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var bits = state
        bits = (bits ^ (bits >> 30)) &* 0xbf58_476d_1ce4_e5b9
        bits = (bits ^ (bits >> 27)) &* 0x94d0_49bb_1331_11eb
        return bits ^ (bits >> 31)
    }

    var note: String { "repeat with ASYNCIO_SEED=\(seed)" }
}
