public import AsyncIO
import AsyncIOLoop

/// Checks that a resolver keeps the contract of `Resolver`, asked for one name that has addresses and for one that has
/// none.
///
/// ```swift
/// try await withEventLoop { _ in
///     try await checkResolver(ConsulResolver(), known: "db.service.consul", unknown: "nothing.service.consul")
/// }
/// ```
///
/// Throws ``ConformanceFailures`` with every sentence that is not true. Nothing but the resolver itself is asked: the
/// names have to be of those that it knows how to look up.
public func checkResolver(
    _ resolver: some Resolver, known: String, unknown: String = "no-such-name.invalid"
) async throws {
    let question = ResolverQuestion(resolver: resolver, known: known, unknown: unknown)
    try await ConformanceFailures.collect(ResolverSentence.all) { sentence in
        do { try await sentence.look(question) } catch let breach as ContractBreach {
            throw ConformanceFailure(contract: "Resolver", sentence: sentence.name, detail: breach.description)
        } catch {
            throw ConformanceFailure(contract: "Resolver", sentence: sentence.name, detail: "threw \(error)")
        }
    }
}

/// Whom to ask, and for what.
private struct ResolverQuestion: Sendable {
    let resolver: any Resolver
    let known: String
    let unknown: String

    func ask(_ name: String, _ version: SocketAddress.IPVersion? = nil) async throws -> [SocketAddress] {
        try await resolver.addresses(of: name, version: version)
    }
}

/// One thing that every resolver does.
private struct ResolverSentence: Sendable {
    let name: String
    let look: @Sendable (ResolverQuestion) async throws -> Void

    init(_ name: String, _ look: @escaping @Sendable (ResolverQuestion) async throws -> Void) {
        self.name = name
        self.look = look
    }

    static let all: [ResolverSentence] = [
        ResolverSentence("a name that is known has at least one address") { question in
            let addresses = try await question.ask(question.known)
            try demand(!addresses.isEmpty, "\(question.known) has no address, and no error says so")
        },

        ResolverSentence("with a version, only addresses of that version count") { question in
            for version in [SocketAddress.IPVersion.v4, .v6] {
                do {
                    let addresses = try await question.ask(question.known, version)
                    try demand(!addresses.isEmpty, "an empty list for \(version), instead of an error")
                    let strange = addresses.first { !$0.isOf(version) }
                    try demand(strange == nil, "\(strange.map { "\($0)" } ?? "") is not of \(version)")
                } catch let error as ResolutionError {
                    let all = try await question.ask(question.known)
                    try demand(
                        !all.contains { $0.isOf(version) }, "refused \(version) with \(error), and has one of it")
                }
            }
        },

        ResolverSentence("the case of letters does not matter") { question in
            let addresses = Set(try await question.ask(question.known))
            let found = Set(try await question.ask(question.known.uppercased()))
            try demand(found == addresses, "in capitals it has \(found), and else \(addresses)")
        },

        ResolverSentence("a name that nobody has is refused with ResolutionError") { question in
            do {
                let addresses = try await question.ask(question.unknown)
                try demand(false, "\(question.unknown) has the addresses \(addresses)")
            } catch let error as ResolutionError {
                try demand(error.subject.contains(question.unknown), "the error does not name it: \(error)")
            }
        },

        ResolverSentence("a task that is cancelled gets CancellationError, and nothing else") { question in
            let task = Task(executorPreference: EventLoop.current) {
                await until { Task.isCancelled }
                return try await question.ask(question.known)
            }
            task.cancel()
            try await demandCancellation(from: "a look-up") { try await task.value }
        },

        ResolverSentence("a question that waits ends soon after its task was cancelled") { question in
            for turns in 0..<10 {
                let task = Task(executorPreference: EventLoop.current) { try await question.ask(question.known) }
                for _ in 0..<turns { await Task.yield() }
                task.cancel()
                do {
                    let addresses = try await task.value
                    try demand(!addresses.isEmpty, "an empty list")
                } catch is CancellationError {}
            }
        },

        ResolverSentence("many tasks ask at once, and each gets its own answer") { question in
            try await withThrowingTaskGroup(of: Void.self) { group in
                for number in 0..<32 {
                    group.addTask {
                        if number % 4 == 3 {
                            do { _ = try await question.ask(question.unknown) } catch is ResolutionError { return }
                            try demand(false, "\(question.unknown) has an address")
                        }
                        let addresses = try await question.ask(question.known)
                        try demand(!addresses.isEmpty, "\(question.known) has no address")
                    }
                }
                try await group.waitForAll()
            }
        },

        ResolverSentence("an address has a name, or ResolutionError says that it has none") { question in
            guard let address = try await question.ask(question.known).first else { return }
            do {
                let name = try await question.resolver.name(of: address)
                try demand(!name.isEmpty, "\(address) has the empty name")
            } catch is ResolutionError {}
        },
    ]
}

extension SocketAddress {
    fileprivate func isOf(_ version: IPVersion) -> Bool {
        switch (family, version) {
        case (.ipv4, .v4), (.ipv6, .v6): true
        default: false
        }
    }
}
