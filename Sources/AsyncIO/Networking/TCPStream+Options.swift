import AsyncIOLoop
import Glibc

extension TCPStream {
    /// Sends small writes at once from now on, or collects them (TCP_NODELAY of tcp(7)).
    ///
    /// Does not wait. Throws ``IOError`` if the connection is closed.
    public func set(noDelay: Bool) async throws {
        try await core.set([.noDelay(noDelay)])
    }

    /// Asks an idle peer whether it is still there, by this schedule from now on, or never: nil.
    ///
    /// Does not wait. Throws ``IOError`` if the connection is closed.
    public func set(keepAlive: TCPOptions.KeepAlive?) async throws {
        try await core.set(SocketOption.keepAlive(keepAlive))
    }

    /// Gives the connection up when sent bytes stay unacknowledged so long; nil is the kernel's own time. See
    /// ``TCPOptions/userTimeout``.
    ///
    /// Does not wait. Throws ``IOError`` if the connection is closed.
    public func set(userTimeout: Duration?) async throws {
        try await core.set([.userTimeout(userTimeout)])
    }

    /// The most bytes that the kernel takes beyond those that are under way to the peer (TCP_NOTSENT_LOWAT of tcp(7)):
    /// without it, a peer that reads slowly has megabytes of the kernel's memory. A simulation does not know it.
    package func limitUnsent(to bytes: Int) async throws {
        try await core.set([
            SocketOption(level: CInt(IPPROTO_TCP), name: TCP_NOTSENT_LOWAT, value: CInt(clamping: bytes))
        ])
    }

    package var unsentLimit: Int {
        get async throws {
            let bytes = try await core.option(CInt(IPPROTO_TCP), TCP_NOTSENT_LOWAT, size: 4, "read option")
            return Int(SocketOption.number(bytes))
        }
    }

    /// Whether the connection has broken: behind the peer's end of data a read does not tell, since Linux goes on
    /// reporting that end. Also true of one that was closed here.
    package var hasBroken: Bool {
        get async {
            guard let error = try? await core.option(SOL_SOCKET, SO_ERROR, size: 4, "read error") else { return true }
            // Somebody may have taken the error already. A simulation does not know this option.
            let state = try? await core.option(CInt(IPPROTO_TCP), TCP_INFO, size: 8, "read state")
            // TCP_CLOSE of the kernel's states.
            return error.contains { $0 != 0 } || state?.first == 7
        }
    }

    /// What the kernel knows of the connection (TCP_INFO of tcp(7)).
    ///
    /// Does not wait. Throws ``IOError`` if the connection is closed.
    public var statistics: TCPStatistics {
        get async throws {
            let bytes = try await core.option(CInt(IPPROTO_TCP), TCP_INFO, size: 256, "read statistics")
            return TCPStatistics(kernel: bytes)
        }
    }
}

/// What the kernel has measured and counted of a connection: a choice from its `tcp_info`.
public struct TCPStatistics: Hashable, Sendable {
    /// The smoothed time from sending a segment to its acknowledgement (RFC 6298).
    public let roundTripTime: Duration
    /// How much that varies: its mean deviation.
    public let roundTripVariation: Duration
    /// The shortest round trip of late; zero if the kernel does not tell.
    public let minimumRoundTripTime: Duration
    /// How many segments may be under way without an acknowledgement (RFC 5681's congestion window).
    public let congestionWindow: Int
    /// Segments that have been sent and are not acknowledged.
    public let unacknowledgedSegments: Int
    /// Segments that had to be sent again, in all.
    public let retransmittedSegments: Int
    /// Bytes in a full segment that we send.
    public let segmentSize: Int
    /// Bytes that the peer has acknowledged, in all.
    public let bytesAcknowledged: UInt64
    /// Bytes that have come from the peer, in all.
    public let bytesReceived: UInt64
    /// Bytes that were written and have not been sent yet.
    public let unsentBytes: Int

    /// Reads `struct tcp_info` of <linux/tcp.h>, whose fields keep their places; older kernels have fewer.
    init(kernel bytes: [UInt8]) {
        roundTripTime = .microseconds(Int64(Self.number(bytes, at: 68)))
        roundTripVariation = .microseconds(Int64(Self.number(bytes, at: 72)))
        congestionWindow = Int(Self.number(bytes, at: 80))
        unacknowledgedSegments = Int(Self.number(bytes, at: 24))
        retransmittedSegments = Int(Self.number(bytes, at: 100))
        segmentSize = Int(Self.number(bytes, at: 16))
        bytesAcknowledged = Self.wideNumber(bytes, at: 120)
        bytesReceived = Self.wideNumber(bytes, at: 128)
        unsentBytes = Int(Self.number(bytes, at: 144))
        minimumRoundTripTime = .microseconds(Int64(Self.number(bytes, at: 148)))
    }

    private static func number(_ bytes: [UInt8], at offset: Int) -> UInt32 {
        guard offset + 4 <= bytes.count else { return 0 }
        return unsafe bytes.withUnsafeBytes {
            unsafe $0.loadUnaligned(fromByteOffset: offset, as: UInt32.self)
        }
    }

    private static func wideNumber(_ bytes: [UInt8], at offset: Int) -> UInt64 {
        guard offset + 8 <= bytes.count else { return 0 }
        return unsafe bytes.withUnsafeBytes {
            unsafe $0.loadUnaligned(fromByteOffset: offset, as: UInt64.self)
        }
    }
}
