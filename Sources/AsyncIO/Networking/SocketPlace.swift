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
        if isFirst && FileIdentity(of: path) == identity { Self.remove(path) }
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
        let opened = unsafe withPath(path) { path in
            SystemCall.result { unsafe open(path, fileItself) }
        }
        guard opened >= 0 else { throw IOError(Errno(negated: opened), operation: "bind", subject: "\(address)") }
        let file = Descriptor(owning: CInt(truncatingIfNeeded: opened))
        guard let identity = FileIdentity(of: file.number), identity.isSocket else { throw replaced(address) }
        let place = SocketPlace(path, identity)
        do throws(IOError) {
            if let wanted = options.permissions, identity.permissions != wanted.rawValue {
                try SystemCall.call("chmod", "\(address)") {
                    unsafe chmod("/proc/self/fd/\(file.number)", wanted.rawValue)
                }
            }
            guard FileIdentity(of: path) == identity else { throw replaced(address) }
            if kind == .stream {
                try SystemCall.call("listen", "\(address)") { listen(socket, options.backlog) }
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
                try SystemCall.call("fchmod", "\(address)") { fchmod(socket, permissions.rawValue) }
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
        let opened = unsafe withPath(path) { path in
            SystemCall.result { unsafe open(path, fileItself) }
        }
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
        if FileIdentity(of: path) == identity { remove(path) }
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

    private static func remove(_ path: [UInt8]) {
        _ = unsafe withPath(path) { path in SystemCall.result { unsafe unlink(path) } }
    }

    /// Open the file itself, whatever it is, and not what it leads to.
    private static var fileItself: CInt { CInt(CASYNCIO_O_PATH) | O_NOFOLLOW | O_CLOEXEC }
}

extension IOError {
    fileprivate func inUse(_ kind: SocketPlace.Kind) -> IOError {
        IOError(
            code, operation: operation, subject: subject,
            detail: "another program \(kind == .stream ? "listens" : "receives") there; end it, or choose another path")
    }
}

/// Which file it is: device and inode. Its permissions are no part of that.
struct FileIdentity: Equatable {
    let device: dev_t
    let inode: ino_t
    let isSocket: Bool
    let permissions: mode_t

    static func == (left: FileIdentity, right: FileIdentity) -> Bool {
        left.device == right.device && left.inode == right.inode && left.isSocket == right.isSocket
    }

    /// Nil if nothing is at the path. A link is itself.
    init?(of path: [UInt8]) {
        unsafe self.init { information in unsafe withPath(path) { path in unsafe lstat(path, information) } }
    }

    init?(of descriptor: CInt) {
        unsafe self.init { information in unsafe fstat(descriptor, information) }
    }

    private init?(_ ask: (UnsafeMutablePointer<stat>) -> CInt) {
        var information = stat()
        guard SystemCall.result({ unsafe ask(&information) }) >= 0 else { return nil }
        device = information.st_dev
        inode = information.st_ino
        isSocket = information.st_mode & S_IFMT == S_IFSOCK
        permissions = information.st_mode & 0o7777
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
        let opened = unsafe withPath(folder) { folder in
            SystemCall.result { unsafe open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC) }
        }
        guard opened >= 0 else { return nil }
        let number = CInt(truncatingIfNeeded: opened)
        let lock = FolderLock(Descriptor(owning: number))
        for _ in 0..<200 {
            let result = SystemCall.result { flock(number, LOCK_EX | LOCK_NB) }
            if result >= 0 { return lock }
            guard result == Errno.wouldBlock.negated else { return nil }
            try await loop.sleep(for: .milliseconds(5))
        }
        // Somebody keeps it for purposes of his own.
        return nil
    }
}

/// Lends a path to a system call, with its terminator.
private func withPath<Result>(_ path: [UInt8], _ body: (UnsafePointer<CChar>) -> Result) -> Result {
    let terminated = path.map { CChar(bitPattern: $0) } + [0]
    return unsafe terminated.withUnsafeBufferPointer { memory in
        // Never empty: the terminator is there.
        guard let base = memory.baseAddress else { preconditionFailure("a path without a terminator") }
        return unsafe body(base)
    }
}
