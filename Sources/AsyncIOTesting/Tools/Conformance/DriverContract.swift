import AsyncIO
import AsyncIOKernel
package import AsyncIOLoop
import SystemPackage

/// A driver under examination, and where it gets connected sockets from.
package struct DriverStand {
    /// Makes a driver that nobody has used. It is used on the calling thread only.
    package let make: () throws -> any Driver
    /// Makes two connected stream sockets, which belong to the driver.
    package let makePair: (any Driver) throws -> (Handle, Handle)
    /// How many waits of five milliseconds a completion may take.
    package let patience: Int

    package init(
        patience: Int = 1_000, make: @escaping () throws -> any Driver,
        makePair: @escaping (any Driver) throws -> (Handle, Handle)
    ) {
        self.patience = patience
        self.make = make
        self.makePair = makePair
    }
}

/// Checks that a driver keeps the contract of `Driver`: each operation completes once, cancelled, closed or not; what
/// is closed stays closed; a wake ends a wait. Blocks the calling thread. Throws ``ConformanceFailures``.
package func checkDriver(_ stand: DriverStand) throws {
    var failures: [ConformanceFailure] = []
    for sentence in DriverSentence.all {
        let driver: any Driver
        do { driver = try stand.make() } catch {
            failures.append(ConformanceFailure(contract: "Driver", sentence: "a driver is made", detail: "\(error)"))
            break
        }
        var contract = DriverContract(driver: driver, stand: stand)
        do { try sentence.look(&contract) } catch {
            failures.append(ConformanceFailure(contract: "Driver", sentence: sentence.name, detail: "\(error)"))
        }
        driver.close()
    }
    if !failures.isEmpty {
        throw ConformanceFailures(failures: failures, checked: DriverSentence.all.count)
    }
}

/// One driver and what was asked of it.
struct DriverContract {
    let driver: any Driver
    let stand: DriverStand
    private var tokens: UInt32 = 0
    /// What has completed, by token. More than one is a breach.
    private var outcomes: [Token: [Outcome]] = [:]

    init(driver: any Driver, stand: DriverStand) {
        self.driver = driver
        self.stand = stand
    }

    // MARK: Steps

    mutating func token() -> Token {
        tokens += 1
        return Token(index: tokens, generation: tokens &* 7)
    }

    func pair() throws -> (Handle, Handle) { try stand.makePair(driver) }

    func atOnce(_ operation: Operation) throws -> Outcome {
        guard case .completed(let outcome) = driver.submit(operation, token: Token(index: 9_999, generation: 1)) else {
            throw ContractBreach("\(operation.name) should have been done at once")
        }
        return outcome
    }

    /// Starts a read that has to wait.
    mutating func read(_ handle: Handle) throws -> Token {
        let token = token()
        guard case .pending = driver.submit(.receiveBytes(handle, limit: 100, .one), token: token) else {
            throw ContractBreach("a read of nothing ended at once")
        }
        return token
    }

    func send(_ bytes: StaticString, _ handle: Handle) throws {
        let memory = unsafe UnsafeRawBufferPointer(start: bytes.utf8Start, count: bytes.utf8CodeUnitCount)
        let outcome = try unsafe atOnce(.sendNow(handle, memory))
        try demand(outcome.result == bytes.utf8CodeUnitCount, "sending reported \(outcome.result)")
    }

    /// Waits, at most some real seconds, until a token has completed; then looks whether more comes.
    mutating func completion(of token: Token) throws -> Outcome {
        for _ in 0..<stand.patience where outcomes[token] == nil { turn(.milliseconds(5)) }
        guard let outcome = outcomes[token]?.first else { throw ContractBreach("a completion never came") }
        try onlyOnce()
        return outcome
    }

    /// Lets the driver report what it has.
    mutating func turn(_ time: Duration = .milliseconds(1)) {
        var completions = CompletionList()
        driver.wait(until: driver.now.advanced(by: time), into: &completions)
        for completion in completions.takeAll() { outcomes[completion.token, default: []].append(completion.outcome) }
    }

    mutating func onlyOnce() throws {
        for _ in 0..<3 { turn() }
        let twice = outcomes.first { $0.value.count > 1 }
        try demand(twice == nil, "a token completed \(twice?.value.count ?? 0) times")
    }

    func hasCompleted(_ token: Token) -> Bool { outcomes[token] != nil }
}

/// One thing that every driver does.
struct DriverSentence: Sendable {
    let name: String
    let look: @Sendable (inout DriverContract) throws -> Void

    init(_ name: String, _ look: @escaping @Sendable (inout DriverContract) throws -> Void) {
        self.name = name
        self.look = look
    }

    static let all: [DriverSentence] = [
        DriverSentence("time never goes back") { contract in
            var last = contract.driver.now
            for _ in 0..<50 {
                contract.turn(.microseconds(10))
                try demand(contract.driver.now >= last, "\(contract.driver.now) came after \(last)")
                last = contract.driver.now
            }
        },

        DriverSentence("a wait ends at its instant, not before, and brings nothing that nobody asked for") { contract in
            let end = contract.driver.now.advanced(by: .milliseconds(20))
            var completions = CompletionList()
            for _ in 0..<1_000 where contract.driver.now < end {
                contract.driver.wait(until: end, into: &completions)
            }
            try demand(contract.driver.now >= end, "1,000 waits have not brought the instant")
            try demand(completions.isEmpty, "\(completions.count) completions out of nothing")
        },

        DriverSentence("a wake ends the next wait, however many wakes there were") { contract in
            for _ in 0..<3 { contract.driver.wake() }
            var completions = CompletionList()
            contract.driver.wait(until: nil, into: &completions)
            try demand(completions.isEmpty, "a wake brought a completion")
        },

        DriverSentence("a read that waits completes once, with its bytes") { contract in
            let (one, other) = try contract.pair()
            for _ in 0..<20 {
                let token = try contract.read(other)
                contract.turn()
                try demand(!contract.hasCompleted(token), "a read completed, and nothing had come")
                try contract.send("hello", one)
                let outcome = try contract.completion(of: token)
                try demand(outcome.result == 5 && outcome.bytes == Array("hello".utf8), "it completed with \(outcome)")
            }
        },

        DriverSentence("a cancelled operation still completes, once, and its place is free") { contract in
            let (one, other) = try contract.pair()
            for _ in 0..<20 {
                let token = try contract.read(other)
                contract.driver.cancel(token)
                contract.driver.cancel(token)
                let outcome = try contract.completion(of: token)
                try demand(outcome.result == Errno.canceled.negated, "it completed with \(outcome.result)")
                // What has ended cannot be cancelled, nor can what nobody has asked for.
                contract.driver.cancel(token)
                contract.driver.cancel(Token(index: 77_777, generation: 7))
                try contract.onlyOnce()
            }
            let token = try contract.read(other)
            try contract.send("after", one)
            let outcome = try contract.completion(of: token)
            try demand(outcome.bytes == Array("after".utf8), "the next read completed with \(outcome)")
        },

        DriverSentence("a cancellation that comes with the data completes once, and loses no byte") { contract in
            let (one, other) = try contract.pair()
            for _ in 0..<20 {
                let token = try contract.read(other)
                try contract.send("data", one)
                contract.driver.cancel(token)
                let outcome = try contract.completion(of: token)
                if outcome.result == Errno.canceled.negated {
                    let rest = contract.token()
                    let submission = contract.driver.submit(.receiveBytes(other, limit: 100, .one), token: rest)
                    let again =
                        if case .completed(let now) = submission { now } else { try contract.completion(of: rest) }
                    try demand(again.bytes == Array("data".utf8), "the next read completed with \(again)")
                } else {
                    try demand(outcome.bytes == Array("data".utf8), "it completed with \(outcome)")
                }
            }
        },

        DriverSentence("closing ends what waits, once, and the handle is refused from then on") { contract in
            let (one, other) = try contract.pair()
            let token = try contract.read(other)
            _ = try contract.atOnce(.close(other, .orderly))
            let outcome = try contract.completion(of: token)
            try demand(outcome.result == Errno.canceled.negated, "it completed with \(outcome.result)")
            // Also when its number belongs to somebody else.
            for _ in 0..<4 { _ = try contract.pair() }
            for operation in [Operation.receiveBytes(other, limit: 1, .one), .finishSending(other), .disown(other)] {
                let outcome = try contract.atOnce(operation)
                try demand(
                    outcome.result == Errno.badFileDescriptor.negated, "\(operation.name) reported \(outcome.result)")
            }
            _ = try contract.atOnce(.close(other, .orderly))
            let end = contract.token()
            let submission = contract.driver.submit(.receiveBytes(one, limit: 1, .one), token: end)
            let last = if case .completed(let now) = submission { now } else { try contract.completion(of: end) }
            try demand(last.result == 0, "the peer's end was reported as \(last.result)")
        },

        DriverSentence("nobody's handle is refused") { contract in
            let outcome = try contract.atOnce(.receiveBytes(.none, limit: 1, .one))
            try demand(outcome.result == Errno.badFileDescriptor.negated, "reported \(outcome.result)")
        },

        DriverSentence("a second reader is refused, and the first one is named and goes on") { contract in
            let (one, other) = try contract.pair()
            let token = try contract.read(other)
            let second = Operation.receiveBytes(other, limit: 1, .one)
            let refusal = try contract.atOnce(second)
            try demand(refusal.result == Errno.resourceBusy.negated, "the second got \(refusal.result)")
            try demand(contract.driver.rival(of: second) == token, "the rival is not the first reader")
            try contract.send("x", one)
            let outcome = try contract.completion(of: token)
            try demand(outcome.bytes == Array("x".utf8), "the first completed with \(outcome)")
            try demand(contract.driver.rival(of: second) == nil, "a rival is left when nobody reads")
        },

        DriverSentence("after its peer has finished, a stream reports its end, as often as asked") { contract in
            let (one, other) = try contract.pair()
            let token = try contract.read(other)
            _ = try contract.atOnce(.finishSending(one))
            let outcome = try contract.completion(of: token)
            try demand(outcome.result == 0, "the end was reported as \(outcome.result)")
            let again = contract.token()
            let submission = contract.driver.submit(.receiveBytes(other, limit: 1, .one), token: again)
            let end = if case .completed(let now) = submission { now } else { try contract.completion(of: again) }
            try demand(end.result == 0, "the second end was reported as \(end.result)")
            try contract.send("still", other)
        },
    ]
}
