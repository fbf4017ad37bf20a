public import AsyncIOKernel
public import SystemPackage

/// No address of a host could be connected to: each that was tried, with its error.
///
/// A host with one address gets that address's ``IOError`` instead.
public struct ConnectError: Error, Hashable, Sendable, CustomStringConvertible {
    /// One address, and why it failed.
    public struct Attempt: Hashable, Sendable {
        /// The address.
        public let address: SocketAddress
        /// Why it failed.
        public let error: IOError

        /// Creates a report of one attempt.
        public init(address: SocketAddress, error: IOError) {
            self.address = address
            self.error = error
        }
    }

    /// What was to be connected to: `example.org:443`.
    public let target: String
    /// What was tried, in the order in which the attempts began.
    public let attempts: [Attempt]

    /// Creates a report.
    public init(target: String, attempts: [Attempt]) {
        self.target = target
        self.attempts = attempts
    }

    /// The error number that all attempts share; nil if they differ.
    public var code: Errno? {
        guard let first = attempts.first?.error.code else { return nil }
        return attempts.allSatisfy { $0.error.code == first } ? first : nil
    }

    /// One line: the host, and each address with its error.
    public var description: String {
        let reasons = attempts.map { "\($0.address): \($0.error.detail ?? "\($0.error.code)")" }
        return "connect \(target): none of \(attempts.count) addresses: \(reasons.joined(separator: "; "))"
    }
}
