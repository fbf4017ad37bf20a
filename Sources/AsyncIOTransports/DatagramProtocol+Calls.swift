import AsyncIOKernel
import AsyncIOLoop

// The callbacks themselves. A transport and its protocol live on the same loop: one may call the other.
extension DatagramProtocol {
    nonisolated func connected(_ transport: DatagramTransport) throws {
        try assumeIsolated { try $0.connectionMade(transport) }
    }

    nonisolated func received(_ bytes: [UInt8], from peer: SocketAddress) throws {
        try assumeIsolated { try $0.datagramReceived(bytes, from: peer) }
    }

    nonisolated func heard(_ error: IOError) throws { try assumeIsolated { try $0.errorReceived(error) } }

    nonisolated func paused() throws { try assumeIsolated { try $0.pauseWriting() } }

    nonisolated func resumed() throws { try assumeIsolated { try $0.resumeWriting() } }

    nonisolated func lost(_ error: (any Error)?) throws {
        try assumeIsolated { try $0.connectionLost(error) }
    }
}
