import AsyncIOKernel
import CAsyncIO
import Glibc
import SystemPackage

/// The file of a bound Unix socket: ours to remove, as long as it is the one that we have made.
struct SocketFile: Sendable {
    private let path: [CChar]
    private let identity: Identity

    /// What tells a file from another one that was put in its place.
    private struct Identity: Hashable {
        let device: dev_t
        let inode: ino_t
        let isSocket: Bool

        /// The file at a path, which is not followed if it is a symbolic link; nil if there is none.
        init?(_ path: [CChar]) {
            var status = stat()
            guard SystemCall.result({ unsafe lstat(path, &status) }) >= 0 else { return nil }
            device = status.st_dev
            inode = status.st_ino
            isSocket = status.st_mode & S_IFMT == S_IFSOCK
        }
    }

    /// Binds a datagram socket, and keeps in mind which file that has made; nil for addresses without one.
    ///
    /// A socket's file outlives a process that was killed. One that nobody is bound to any more, as a connect(2) tells,
    /// is removed, and the address is ours; one that lives, and every other kind of file, is `EADDRINUSE`.
    static func bind(_ descriptor: CInt, to address: SocketAddress) throws -> SocketFile? {
        do {
            try Socket.bind(descriptor, to: address)
        } catch {
            guard error.code == .addressInUse, let path = path(of: address), removeStale(path, address) else {
                throw error
            }
            try Socket.bind(descriptor, to: address)
        }
        guard let path = path(of: address), let identity = Identity(path) else { return nil }
        return SocketFile(path: path, identity: identity)
    }

    /// Removes the file, unless somebody has put another one in its place.
    func remove() {
        guard Identity(path) == identity else { return }
        _ = SystemCall.result { unsafe unlink(path) }
    }

    private static func path(of address: SocketAddress) -> [CChar]? {
        address.pathBytes.map { $0.map { CChar(bitPattern: $0) } + [0] }
    }

    /// Removes a socket's file that nobody is bound to. False if it may not be removed.
    private static func removeStale(_ path: [CChar], _ address: SocketAddress) -> Bool {
        guard let found = Identity(path), found.isSocket,
            let asking = try? Socket.openUnix(for: address, CInt(SOCK_DGRAM.rawValue), "bind")
        else { return false }
        // EPROTOTYPE and success alike mean that somebody is there.
        guard SystemCall.connect(asking.number, address) == Errno.connectionRefused.negated else { return false }
        // Another process may have come to the same conclusion, and have bound its socket meanwhile.
        guard Identity(path) == found else { return false }
        return SystemCall.result { unsafe unlink(path) } >= 0
    }
}
