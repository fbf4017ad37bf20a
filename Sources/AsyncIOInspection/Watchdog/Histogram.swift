import Synchronization

/// Counts durations by their size, in memory of a fixed size: four steps to a doubling, so that what is read from it is
/// right within a quarter.
///
/// One thread adds; all may read, also meanwhile.
@safe
final class Histogram: Sendable {
    private static let steps = 256
    private nonisolated(unsafe) let counts: UnsafeMutablePointer<Atomic<UInt64>>
    private let largest = Atomic<Int64>(0)
    private let sum = Atomic<Int64>(0)

    init() {
        unsafe counts = .allocate(capacity: Self.steps)
        for step in 0..<Self.steps { unsafe (counts + step).initialize(to: Atomic(0)) }
    }

    deinit {
        unsafe counts.deinitialize(count: Self.steps)
        unsafe counts.deallocate()
    }

    /// The step of a number: the place of its highest bit, and the two bits behind that.
    @inline(__always)
    static func step(of number: Int64) -> Int {
        guard number > 3 else { return Int(max(number, 0)) }
        let exponent = 63 - number.leadingZeroBitCount
        return (exponent - 1) * 4 + Int(truncatingIfNeeded: (number >> (exponent - 2)) & 3)
    }

    /// The numbers of a step.
    static func numbers(of step: Int) -> ClosedRange<Int64> {
        guard step > 3 else { return Int64(step)...Int64(step) }
        let exponent = step / 4 + 1
        let width: Int64 = 1 << (exponent - 2)
        let first = (4 + Int64(step % 4)) * width
        return first...(first + (width - 1))
    }

    /// Adds nanoseconds. On the one thread that does. Out of line: inlined, it would count a reference to itself.
    @inline(never)
    func add(_ nanoseconds: Int64) {
        let step = Self.step(of: nanoseconds)
        // Nobody else writes: a load and a store, and no locked instruction.
        unsafe counts[step].store(counts[step].load(ordering: .relaxed) &+ 1, ordering: .relaxed)
        sum.store(sum.load(ordering: .relaxed) &+ max(nanoseconds, 0), ordering: .relaxed)
        if nanoseconds > largest.load(ordering: .relaxed) { largest.store(nanoseconds, ordering: .relaxed) }
    }

    /// What has been added so far.
    var distribution: Distribution {
        let counts = (0..<Self.steps).map { step in unsafe self.counts[step].load(ordering: .relaxed) }
        return Distribution(
            counts: counts, sum: sum.load(ordering: .relaxed), largest: largest.load(ordering: .relaxed))
    }
}

/// How durations are distributed.
public struct Distribution: Codable, Sendable, Equatable {
    /// How many there are.
    public let count: UInt64
    /// Their mean.
    public let mean: Duration
    /// Half of them are not longer.
    public let median: Duration
    /// 99 of a hundred are not longer.
    public let percentile99: Duration
    /// The longest of them; exact, where the others are right within a quarter.
    public let maximum: Duration

    init(counts: [UInt64], sum: Int64, largest: Int64) {
        let total = counts.reduce(0, +)
        func quantile(_ hundredths: UInt64) -> Duration {
            guard total > 0 else { return .zero }
            let wanted = max((total * hundredths + 99) / 100, 1)
            var passed: UInt64 = 0
            for (step, count) in counts.enumerated() where count > 0 {
                if passed + count >= wanted {
                    let numbers = Histogram.numbers(of: step)
                    // As if they were spread evenly over the step.
                    let part = Double(wanted - passed) / Double(count)
                    let number = numbers.lowerBound + Int64(Double(numbers.upperBound - numbers.lowerBound) * part)
                    return .nanoseconds(min(number, largest))
                }
                passed += count
            }
            return .nanoseconds(largest)
        }
        count = total
        mean = total == 0 ? .zero : .nanoseconds(sum / Int64(clamping: total))
        median = quantile(50)
        percentile99 = quantile(99)
        maximum = .nanoseconds(largest)
    }
}
