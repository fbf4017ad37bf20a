import AsyncIOKernel

/// The submission entries that the kernel has, each in a slot that its completions name.
///
/// A completion whose slot has been given to another entry meanwhile finds nothing: one that comes twice is dropped.
@safe
struct FlightTable: ~Copyable {
    /// What an entry was submitted for.
    enum Purpose {
        case free
        /// Watches the descriptor that other threads wake the loop with.
        case wake
        /// Watches a descriptor of ours.
        case watch
        /// Waits for somebody else's descriptor.
        case foreign
        /// Receives what comes for a connection.
        case feed
        /// Carries an operation out.
        case operation
    }

    struct Flight {
        var generation: UInt32 = 1
        var purpose = Purpose.free
        /// Its end has been asked for.
        var isEnding = false
        var handle = Handle.none
        var token = Token(index: 0, generation: 0)
        var nextFree = FlightTable.none
    }

    /// Nobody's number: completions that carry it are of no interest.
    static let nobody: UInt64 = 0

    private static let none = UInt32.max
    private var flights = StableTable(filledWith: Flight())
    private var used: UInt32 = 0
    private var firstFree = FlightTable.none
    /// How many entries the kernel has.
    private(set) var count = 0

    /// Opens a slot; the number is the entry's `user_data`.
    mutating func open(
        _ purpose: Purpose, _ handle: Handle, token: Token = Token(index: 0, generation: 0)
    ) -> UInt64 {
        count += 1
        let index = firstFree == Self.none ? used : firstFree
        if firstFree == Self.none {
            precondition(used < Self.none, "more entries under way than numbers exist")
            used += 1
            flights.reserve(Int(index))
        } else {
            firstFree = flights[Int(index)].nextFree
        }
        flights[Int(index)].purpose = purpose
        flights[Int(index)].isEnding = false
        flights[Int(index)].handle = handle
        flights[Int(index)].token = token
        return UInt64(flights[Int(index)].generation) << 32 | UInt64(index)
    }

    /// The entry that a number names. Nil if it has completed.
    @inline(__always)
    subscript(number: UInt64) -> Flight? {
        let index = UInt32(truncatingIfNeeded: number)
        guard index < used, flights[Int(index)].generation == UInt32(truncatingIfNeeded: number >> 32),
            flights[Int(index)].purpose != .free
        else { return nil }
        return flights[Int(index)]
    }

    /// Its end has been asked for. False if that was so already, or if it has completed.
    mutating func markEnding(_ number: UInt64) -> Bool {
        guard let flight = self[number], !flight.isEnding else { return false }
        flights[Int(UInt32(truncatingIfNeeded: number))].isEnding = true
        return true
    }

    /// The kernel has no more to say of the entry.
    mutating func land(_ number: UInt64) {
        guard self[number] != nil else { return }
        let index = UInt32(truncatingIfNeeded: number)
        count -= 1
        // Never zero: with it, the first slot's number would be nobody's.
        let next = flights[Int(index)].generation &+ 1
        flights[Int(index)].generation = next == 0 ? 1 : next
        flights[Int(index)].purpose = .free
        flights[Int(index)].nextFree = firstFree
        firstFree = index
    }
}
