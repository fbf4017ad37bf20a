public import AsyncIOKernel

/// Asks the system: `/etc/hosts`, name servers, and whatever else nsswitch.conf(5) names, in its order.
///
/// getaddrinfo(3) does it, so that names mean here what they mean to every other program of the machine. It blocks, and
/// does so on threads of its own (``ResolverLane``). Its order is kept: RFC 6724, and gai.conf(5). Nothing is cached:
/// put a ``CachingResolver`` around it where the same names are asked often.
///
/// Suspends; a cancelled task gets `CancellationError` at once, and after ``timeout`` the call throws
/// ``ResolutionError`` with ``ResolutionError/Reason-swift.enum/timedOut``, though the system may go on asking for a
/// while.
public struct SystemResolver: Resolver {
    /// How long one question may take, the wait for a thread included; nil means as long as the system likes.
    public var timeout: Duration?
    /// The threads that wait for the system.
    public var lane: ResolverLane

    /// Creates a resolver.
    public init(timeout: Duration? = .seconds(10), lane: ResolverLane = .shared) {
        self.timeout = timeout
        self.lane = lane
    }

    /// The addresses of a host, as getaddrinfo(3) finds and orders them.
    ///
    /// Refuses what ``lookUp(_:_:version:resolver:)`` refuses, and answers an address in numbers without asking, with
    /// port 0.
    public func addresses(of host: String, version: SocketAddress.IPVersion?) async throws -> [SocketAddress] {
        guard SystemCall.isSimulated else { return try await lane.addresses(of: host, version, timeout: timeout) }
        let found = try await simulated { $0.addresses(of: host) }
        guard let found, !found.isEmpty else {
            throw ResolutionError(.noSuchName, subject: host, detail: "no host of the simulation has this name")
        }
        let wanted = found.filter { version == nil || ($0.family == .ipv4) == (version == .v4) }
        guard !wanted.isEmpty else { throw ResolutionError(.noAddress, subject: host) }
        return wanted
    }

    /// The name of the host that has an address, as getnameinfo(3) finds it. One that could not be the name of a host
    /// is refused.
    public func name(of address: SocketAddress) async throws -> String {
        guard SystemCall.isSimulated else { return try await lane.name(of: address, timeout: timeout) }
        let found = try await simulated { $0.name(of: address) }
        guard let found else {
            throw ResolutionError(
                .noSuchName, subject: address.host, detail: "no host of the simulation has this address")
        }
        return found
    }

    /// The simulated host's answer, which takes its time.
    private func simulated<Answer>(_ ask: (any SystemStandIn) -> Answer?) async throws -> Answer? {
        guard let standIn = SystemCall.standIn else { return nil }
        let loop = try EventLoop.required(nil)
        let delay = standIn.timeToLookUp()
        guard let timeout, timeout < delay else {
            try await loop.sleep(for: delay)
            return ask(standIn)
        }
        try await loop.sleep(for: timeout)
        throw ResolutionError(.timedOut, subject: "the simulated resolver", detail: "no answer within \(timeout)")
    }
}
