import AsyncIO
import AsyncIOKernel
import AsyncIOLoop
import AsyncIOTestSupport
import AsyncIOTesting
import CAsyncIO
import Glibc
import SystemPackage
import Testing

@Suite("Contracts")
struct ContractTests {
    @Test("each driver keeps the contract of drivers", arguments: Drivers.available)
    func driver(choice: DriverChoice) async throws {
        try await onThread { try checkDriver(Self.stand { try choice.make() }) }
    }

    private static func stand(
        patience: Int = 1_000, _ make: @escaping () throws -> any Driver
    ) -> DriverStand {
        DriverStand(patience: patience, make: make) { driver in
            let (one, other) = try SystemCall.socketPair(CInt(SOCK_STREAM.rawValue))
            return (try adopt(one, driver), try adopt(other, driver))
        }
    }

    private static func adopt(_ number: CInt, _ driver: any Driver) throws -> Handle {
        guard
            case .completed(let outcome) = driver.submit(
                .adopt(number, .socket), token: Token(index: 8_888, generation: 1)),
            outcome.result >= 0
        else { throw IOError(.ioError, operation: "adopt", subject: "descriptor \(number)") }
        return Handle(rawValue: outcome.result)
    }

    /// A driver that forgets, doubles or mistakes something.
    private final class BadDriver: Driver {
        enum Fault: CaseIterable { case doubles, forgetsCancellation, forgetsWhatIsClosed, ignoresWakes }
        private let real: any Driver
        private let fault: Fault
        init(_ fault: Fault) throws {
            real = try DriverChoice.epoll.make()
            self.fault = fault
        }
        var name: String { "bad" }
        var now: Instant { real.now }
        func submit(_ operation: Operation, token: Token) -> Submission {
            if fault == .forgetsWhatIsClosed, case .disown = operation { return .completed(Outcome(0)) }
            return real.submit(operation, token: token)
        }
        func cancel(_ token: Token) { if fault != .forgetsCancellation { real.cancel(token) } }
        func rival(of operation: Operation) -> Token? { real.rival(of: operation) }
        func wait(until deadline: Instant?, into completions: inout CompletionList) {
            // A forgotten wake must not hang the test.
            let end = fault == .ignoresWakes ? deadline ?? now.advanced(by: .milliseconds(5)) : deadline
            real.wait(until: end, into: &completions)
            if fault == .doubles {
                let all = completions.takeAll()
                completions.append(contentsOf: all + all)
            }
            if fault == .ignoresWakes && deadline == nil {
                completions.append(Completion(Token(index: 1, generation: 1), Outcome(0)))
            }
        }
        func wake() { if fault != .ignoresWakes { real.wake() } }
        func close() { real.close() }
    }

    @Test("a driver that breaks it is found, and told by the sentence")
    func badDrivers() async throws {
        for fault in BadDriver.Fault.allCases {
            let failures = try await onThread { () -> ConformanceFailures? in
                do { try checkDriver(Self.stand(patience: 10) { try BadDriver(fault) }) } catch let failures
                    as ConformanceFailures
                {
                    return failures
                }
                return nil
            }
            #expect(failures?.failures.isEmpty == false, "\(fault) went unnoticed")
        }
    }

    @Test("resolvers keep the contract of resolvers")
    func resolvers() async throws {
        let table = StaticResolver([
            "db.test": [.loopback(port: 0), .loopback(port: 0, version: .v6)], "v4.test": [.loopback(port: 1)],
        ])
        try await withEventLoop { _ in
            try await checkResolver(table, known: "db.test")
            try await checkResolver(table, known: "v4.test")
            try await checkResolver(CachingResolver(table), known: "db.test")
            try await checkResolver(SystemResolver(), known: "localhost")
        }
    }

    private struct BadResolver: Resolver {
        func addresses(of host: String, version: SocketAddress.IPVersion?) async throws -> [SocketAddress] {
            host == "known.test" ? [.loopback(port: 0)] : []
        }
    }

    @Test("a resolver that breaks it is found, with all its sentences")
    func badResolver() async throws {
        try await withEventLoop { _ in
            let failures = await #expect(throws: ConformanceFailures.self) {
                try await checkResolver(BadResolver(), known: "known.test")
            }
            #expect((failures?.failures.count ?? 0) >= 4, "\(failures as Any)")
            #expect(failures?.failures.first?.contract == "Resolver")
        }
    }

    /// A stream that loses the last byte of each read.
    private final class Leaky: ByteStream {
        let inner: MemoryStream
        init(_ inner: MemoryStream) { self.inner = inner }
        func read(upTo limit: Int) async throws -> [UInt8]? {
            guard let bytes = try await inner.read(upTo: limit) else { return nil }
            return bytes.count > 1 ? Array(bytes.dropLast()) : bytes
        }
        func read(into span: inout OutputRawSpan) async throws -> Int { try await inner.read(into: &span) }
        func write(_ bytes: RawSpan) async throws { try await inner.write(bytes) }
        func tryWrite(_ bytes: RawSpan) throws -> Int { try inner.tryWrite(bytes) }
        func closeWriting() async throws { try await inner.closeWriting() }
        func close() { inner.close() }
        func abort() { inner.abort() }
        deinit { inner.close() }
    }

    @Test("a stream that loses bytes is found by the sentence that it breaks")
    func badStream() async throws {
        let scenario = try #require(StreamScenario.all.first { $0.name.hasPrefix("the end comes after") })
        try await withEventLoop { _ in
            let failure = await #expect(throws: ConformanceFailure.self) {
                try await scenario.run(bulk: 100_000, from: .first) {
                    let (one, other) = MemoryStream.pair()
                    return (one, Leaky(other))
                }
            }
            #expect(failure?.contract == "ByteStream" && failure?.sentence == scenario.name)
        }
    }

    @Test("checkByteStream has no objection to a stream in memory, and tells all that it has to another one")
    func allSentences() async throws {
        try await withEventLoop { _ in
            try await checkByteStream(bulk: 100_000, from: .first) { MemoryStream.pair(capacity: 1_000) }
        }
        let failures = ConformanceFailures(
            failures: [
                ConformanceFailure(contract: "ByteStream", sentence: "one", detail: "saw this"),
                ConformanceFailure(contract: "ByteStream", sentence: "two", detail: "saw that"),
            ], checked: 34)
        #expect(
            "\(failures)"
                == "2 of 34 sentences are not true:\n- ByteStream: one: saw this\n- ByteStream: two: saw that")
    }
}
