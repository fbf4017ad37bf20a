import AsyncIOKernel
import AsyncIOLoop
import CAsyncIO
import Glibc
import SystemPackage

// The file of a Unix socket outlives it, and nothing in the kernel tells an orphan from one that is in use. What is
// certain:
//
// 1. connect(2) to an orphan is refused. But it is refused as well in the moment between somebody's bind(2) and
//    listen(2), so a refusal counts when it is repeated.
// 2. Between that look and unlink(2), somebody else may replace the orphan by a socket of his own. So the orphan is
//    looked at through a descriptor of the very file, which also keeps its inode's number from being given away, and
//    the file at the path is removed only if it is still that inode. The moment that is left between this comparison
//    and unlink(2) is closed by a lock on the folder for all who listen with this package.
// 3. bind(2) makes the file with the permissions of the socket's own inode, less the umask: fchmod(2) before it leaves
//    no moment in which they are wider. What the umask has taken is given back afterwards, and to the very file that
//    was opened after bind(2), through /proc: a path may lead elsewhere by then, by a link that somebody has put there.
// 4. While a socket is open, the inode of its file cannot be reused, even if somebody removes the file. So device and
//    inode tell at the end whether the file is still ours.
//
// A datagram socket receives as soon as it is bound, so its orphans are told from the living at once; all the rest
// holds for both kinds.

/// The file of a Unix socket that we have bound.
final class SocketPlace: Sendable {
    private let path: [UInt8]
    private let identity: FileIdentity
    private let isOurs = Locked(true)

    private init(_ path: [UInt8], _ identity: FileIdentity) {
        self.path = path
        self.identity = identity
    }

    /// Removes the file, if it is still the one that we have made. Once; while the socket is open.
    func giveUp() {
        let isFirst = isOurs.withLock { isOurs in
            defer { isOurs = false }
            return isOurs
        }
        if isFirst && FileIdentity(of: path) == identity { _ = SystemCall.unlink(path) }
    }

    /// The kinds of sockets that have files.
    enum Kind {
        /// Listens.
        case stream
        case datagram

        /// For socket(2).
        var type: CInt { CInt(self == .stream ? SOCK_STREAM.rawValue : SOCK_DGRAM.rawValue) }
    }

    /// Binds a socket to a path, and listens, if it is one that does.
    static func take(
        _ path: [UInt8], for socket: CInt, _ kind: Kind, _ address: SocketAddress,
        _ options: UnixOptions = UnixOptions(), on loop: EventLoop
    ) async throws -> SocketPlace {
        let lock = try await FolderLock.take(around: path, on: loop)
        defer { withExtendedLifetime(lock) {} }
        var attempts = 1
        while let error = bind(socket, address, options.permissions) {
            guard error.code == .addressInUse, options.staleFile == .replace, attempts < 8 else { throw error }
            guard try await removeOrphan(path, kind, address, on: loop) else {
                throw error.inUse(kind)
            }
            attempts += 1
        }
        return try settle(path, socket, kind, address, options)
    }

    /// Gives the file that bind(2) has made what is missing, and listens.
    static func settle(
        _ path: [UInt8], _ socket: CInt, _ kind: Kind, _ address: SocketAddress, _ options: UnixOptions
    ) throws(IOError) -> SocketPlace {
        let opened = SystemCall.openItself(path)
        guard opened >= 0 else { throw IOError(Errno(negated: opened), operation: "bind", subject: "\(address)") }
        let file = Descriptor(owning: CInt(truncatingIfNeeded: opened))
        guard let identity = FileIdentity(of: file.number), identity.isSocket else { throw replaced(address) }
        let place = SocketPlace(path, identity)
        do throws(IOError) {
            if let wanted = options.permissions, identity.permissions != wanted.rawValue {
                let result = SystemCall.setPermissions(ofItself: file.number, wanted.rawValue)
                try SystemCall.check(result, "chmod", "\(address)")
            }
            guard FileIdentity(of: path) == identity else { throw replaced(address) }
            if kind == .stream {
                try Socket.listen(socket, backlog: options.backlog, address)
            }
        } catch {
            place.giveUp()
            throw error
        }
        return place
    }

    private static func replaced(_ address: SocketAddress) -> IOError {
        IOError(
            .addressInUse, operation: "bind", subject: "\(address)",
            detail: "somebody has put another file in the socket's place; choose a folder where no one else may write")
    }

    /// Makes the file, with no more than these permissions. Returns what stands against it.
    static func bind(_ socket: CInt, _ address: SocketAddress, _ permissions: FilePermissions?) -> IOError? {
        do {
            if let permissions {
                let result = SystemCall.setPermissions(socket, permissions.rawValue)
                try SystemCall.check(result, "fchmod", "\(address)")
            }
            try Socket.bind(socket, to: address)
            return nil
        } catch {
            return error
        }
    }

    /// Removes the file at the path if it is a socket on which nobody listens. False if somebody does; true if it is
    /// worth another try.
    private static func removeOrphan(
        _ path: [UInt8], _ kind: Kind, _ address: SocketAddress, on loop: EventLoop
    ) async throws -> Bool {
        let opened = SystemCall.openItself(path)
        if opened == Errno.noSuchFileOrDirectory.negated { return true }
        guard opened >= 0 else { return false }
        let file = Descriptor(owning: CInt(truncatingIfNeeded: opened))
        guard let identity = FileIdentity(of: file.number), identity.isSocket else {
            throw IOError(
                .addressInUse, operation: "bind", subject: "\(address)",
                detail: "a file that is no socket is there; choose another path, or remove it")
        }
        // Between bind(2) and listen(2) a stream's owner refuses, too.
        for pause in kind == .stream ? [Duration.zero, .milliseconds(20)] : [.zero] {
            if pause > .zero { try await loop.sleep(for: pause) }
            guard isRefused(file.number, kind, address) else { return false }
        }
        if FileIdentity(of: path) == identity { _ = SystemCall.unlink(path) }
        return true
    }

    /// Whether connecting to the very file is refused: nobody listens.
    private static func isRefused(_ file: CInt, _ kind: Kind, _ address: SocketAddress) -> Bool {
        for target in [try? SocketAddress.unix(path: "/proc/self/fd/\(file)"), address] {
            guard let target, let descriptor = try? Socket.openUnix(for: target, kind.type, "connect")
            else { return false }
            let result = SystemCall.connect(descriptor.number, target)
            // Without /proc it has to be the path.
            if result == Errno.noSuchFileOrDirectory.negated { continue }
            return result == Errno.connectionRefused.negated
        }
        return false
    }

}

extension IOError {
    fileprivate func inUse(_ kind: SocketPlace.Kind) -> IOError {
        IOError(
            code, operation: operation, subject: subject,
            detail: "another program \(kind == .stream ? "listens" : "receives") there; end it, or choose another path")
    }
}

/// A lock on a folder, held as long as this object lives.
private final class FolderLock: Sendable {
    private let folder: Descriptor

    private init(_ folder: consuming Descriptor) { self.folder = folder }

    /// Takes the lock. Nil where there is none to be had: the folder cannot be read, or its file system has no locks.
    static func take(around path: [UInt8], on loop: EventLoop) async throws -> FolderLock? {
        var folder = Array(path[..<(path.lastIndex(of: UInt8(ascii: "/")) ?? 0)])
        if folder.isEmpty { folder = Array((path.first == UInt8(ascii: "/") ? "/" : ".").utf8) }
        let opened = SystemCall.openFolder(folder)
        guard opened >= 0 else { return nil }
        let number = CInt(truncatingIfNeeded: opened)
        let lock = FolderLock(Descriptor(owning: number))
        for _ in 0..<200 {
            let result = SystemCall.lockFolder(number)
            if result >= 0 { return lock }
            guard result == Errno.wouldBlock.negated else { return nil }
            try await loop.sleep(for: .milliseconds(5))
        }
        // Somebody keeps it for purposes of his own.
        return nil
    }
}
