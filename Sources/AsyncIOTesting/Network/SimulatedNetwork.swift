import AsyncIOKernel

/// The network between a simulated world's hosts.
public final class SimulatedNetwork: @unchecked Sendable {
    init() {}

    /// The addresses of the host that was added so many hosts ago.
    static func usualAddresses(_ number: Int) throws -> [SocketAddress] {
        [
            try SocketAddress(host: "10.0.\(number / 250).\(number % 250 + 1)", port: 0),
            try SocketAddress(host: "fd00::\(String(number + 1, radix: 16))", port: 0),
        ]
    }
}
