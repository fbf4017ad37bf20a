public import AsyncIOKernel
import SystemPackage

/// How many bytes a transport may keep for a peer that does not take them.
public struct WriteBufferLimits: Hashable, Sendable, CustomStringConvertible {
    /// The high-water mark: above it the protocol is told to pause writing. 0 means at any byte that waits.
    public let high: Int
    /// The low-water mark: when no more than this is left, the protocol is told to resume.
    public let low: Int
    /// How much a protocol may have waiting that did not listen: a write that finds *more* than this ends the
    /// connection. So a single write of any size is taken, and a peer that never reads costs the hard limit and one
    /// write, not all memory. `Int.max` means no limit.
    public let hard: Int

    /// 64 KiB, 16 KiB, and 64 MiB.
    public static let standard = WriteBufferLimits(unchecked: 65_536, 16_384, hard: standardHard)

    /// The default hard limit: 64 MiB.
    public static let standardHard = 67_108_864

    /// Sets the marks. Without a high one it is four times the low one, or 64 KiB; without a low one it is a quarter
    /// of the high one.
    ///
    /// Throws ``IOError`` with `EINVAL` unless 0 ≤ low ≤ high ≤ hard.
    public init(high: Int? = nil, low: Int? = nil, hard: Int = standardHard) throws(IOError) {
        let (product, overflows) = (low ?? 16_384).multipliedReportingOverflow(by: 4)
        let high = high ?? (overflows ? Int.max : product)
        let low = low ?? high / 4
        guard 0 <= low, low <= high, high <= hard else {
            throw IOError(
                .invalidArgument, operation: "set write buffer limits",
                detail: "low \(low), high \(high), hard \(hard): none may be negative or larger than the next")
        }
        self.init(unchecked: high, low, hard: hard)
    }

    private init(unchecked high: Int, _ low: Int, hard: Int) {
        self.high = high
        self.low = low
        self.hard = hard
    }

    /// `low 16384, high 65536, hard 67108864`.
    public var description: String { "low \(low), high \(high), hard \(hard)" }
}
