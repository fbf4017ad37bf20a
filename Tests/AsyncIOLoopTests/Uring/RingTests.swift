import AsyncIOKernel
import AsyncIOTestSupport
import CAsyncIO
import Glibc
import SystemPackage
import Testing

@testable import AsyncIOLoop

/// Whether tests of io_uring can run. Where they cannot, the list of skipped tests says so.
let hasUring = ConditionTrait.enabled(if: UringSupport.refusal == nil, "io_uring is not to be had here")

@Suite("The ring", hasUring)
struct RingTests {
    @Test("loses no completion, however many find no room", arguments: Ring.Setup.allCases)
    func overflow(setup: Ring.Setup) async throws {
        try await Watchdog.onThread("overflow") {
            let ring = try Ring(submissions: 8, completions: 16, setups: [setup])
            defer { ring.close() }
            try ring.enable()
            let count: UInt64 = 100_000
            for number in 1...count {
                var entry = casyncio_submission.nothing
                entry.user_data = number
                ring.submit(entry)
            }
            ring.flush()
            var seen = Set<UInt64>()
            while seen.count < Int(count) {
                while let completion = ring.next() {
                    #expect(completion.result == 0)
                    #expect(seen.insert(completion.user_data).inserted, "one came twice")
                }
                if seen.count < Int(count) { _ = ring.enter(awaiting: 1, nanoseconds: 1_000_000_000) }
            }
            #expect(ring.next() == nil)
        }
    }

    @Test("a wait ends at its time, and a refused entry completes with its error")
    func waits() async throws {
        try await Watchdog.onThread("waits") {
            let ring = try Ring(submissions: 8, completions: 16)
            defer { ring.close() }
            try ring.enable()
            #expect(ring.enter(awaiting: 1, nanoseconds: 1_000_000) == Errno.timeout.negated)
            var entry = casyncio_submission.watch(-1, Interest.input)
            entry.user_data = 7
            ring.submit(entry)
            ring.flush()
            let completion = try #require(ring.next())
            #expect(completion.user_data == 7)
            #expect(Int(completion.result) == Errno.badFileDescriptor.negated)
        }
    }

    @Test("a number of a slot that has another owner names nothing")
    func numbers() {
        var flights = FlightTable()
        let handle = Handle(descriptor: 5, generation: 1)
        let first = flights.open(.watch, handle)
        #expect(first != FlightTable.nobody)
        flights.land(first)
        let second = flights.open(.feed, handle)
        #expect(first != second)
        #expect(flights[first] == nil && flights[second]?.purpose == .feed)
        flights.land(first)
        #expect(flights.count == 1, "landing twice is landing once")
        #expect(flights.markEnding(second) && !flights.markEnding(second))
    }
}

extension casyncio_completion? {
    fileprivate static func == (left: Self, right: _OptionalNilComparisonType) -> Bool {
        if case .none = left { true } else { false }
    }
}
