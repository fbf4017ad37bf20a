import AsyncIOKernel
import AsyncIOLoop
import Glibc

extension UnixStream {
    /// Who the peer is, as the kernel vouches for it: the process that connected, or that listened, as it was at that
    /// moment (SO_PEERCRED of unix(7)).
    ///
    /// Does not wait. Throws ``IOError`` if the connection is closed.
    public var peerCredentials: PeerCredentials {
        get async throws {
            let bytes = try await core.option(SOL_SOCKET, SO_PEERCRED, size: 12, "read credentials")
            guard bytes.count >= 12 else {
                throw IOError(.invalidArgument, operation: "read credentials", subject: "\(peer)")
            }
            return unsafe bytes.withUnsafeBytes { memory in
                unsafe PeerCredentials(
                    processID: memory.loadUnaligned(as: Int32.self),
                    userID: memory.loadUnaligned(fromByteOffset: 4, as: UInt32.self),
                    groupID: memory.loadUnaligned(fromByteOffset: 8, as: UInt32.self))
            }
        }
    }
}

/// The process at the other end of a Unix socket: see ``UnixStream/peerCredentials``.
public struct PeerCredentials: Hashable, Sendable {
    /// The process, as a number of this process's namespace; 0 if it has none here. It may have ended since, and the
    /// number may be another one's: decide by user and group.
    public let processID: Int32
    /// Its effective user.
    public let userID: UInt32
    /// Its effective group.
    public let groupID: UInt32
}
