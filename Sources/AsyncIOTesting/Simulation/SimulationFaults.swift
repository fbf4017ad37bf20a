import AsyncIOKernel

/// How unkind a simulated world is, everywhere alike: probabilities from 0 to 1, drawn from the seed.
public struct SimulationFaults: Sendable {
    /// That a read or write moves a part of what it could.
    public var shortTransfers = 0.0
    /// That a call that could succeed says `EAGAIN` first.
    public var tryAgain = 0.0
    /// That a turn of a loop begins with an event that nothing has caused.
    public var spuriousWakeUps = 0.0
    /// How many descriptors a host may have open: `EMFILE` beyond.
    public var descriptorLimit = 20_000

    /// Creates a kind world.
    public init() {}

    /// Everything that a real kernel may do on a bad day, often enough to matter in a short run.
    public static var stormy: SimulationFaults {
        var faults = SimulationFaults()
        faults.shortTransfers = 0.2
        faults.tryAgain = 0.05
        faults.spuriousWakeUps = 0.02
        return faults
    }
}
