/// The numbers that a simulation draws: the same ones for the same seed, on every machine and in every build.
///
/// SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014): one addition and a few
/// multiplications a number. Not for secrets.
public struct SimulatedRandom: RandomNumberGenerator, Sendable {
    private var state: UInt64

    /// Begins a sequence.
    public init(seed: UInt64) { state = seed }

    /// The next 64 bits.
    public mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var bits = state
        bits = (bits ^ (bits >> 30)) &* 0xbf58_476d_1ce4_e5b9
        bits = (bits ^ (bits >> 27)) &* 0x94d0_49bb_1331_11eb
        return bits ^ (bits >> 31)
    }

    /// A number below the bound; 0 for a bound of one or less.
    public mutating func below(_ bound: Int) -> Int {
        guard bound > 1 else { return 0 }
        return Int(truncatingIfNeeded: next().multipliedFullWidth(by: UInt64(bound)).high)
    }

    /// True with a probability between 0 and 1. Draws nothing for 0: what is switched off does not move the rest.
    public mutating func happens(_ probability: Double) -> Bool {
        guard probability > 0 else { return false }
        return fraction() < probability
    }

    /// From 0, included, to 1, excluded.
    public mutating func fraction() -> Double {
        Double(next() >> 11) * 0x1p-53
    }

    /// A second sequence that does not depend on how far this one is read from here on.
    public mutating func split() -> SimulatedRandom { SimulatedRandom(seed: next()) }
}
