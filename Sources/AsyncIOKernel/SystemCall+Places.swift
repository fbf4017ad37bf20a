import CAsyncIO
import Glibc
import SystemPackage

// The calls around the files of Unix sockets. A path is bytes, without a terminator.
extension SystemCall {
    /// Opens the file at a path itself, whatever it is, and not what it leads to (O_PATH of open(2)).
    package static func openItself(_ path: [UInt8]) -> Int {
        if let standIn { return standIn.openItself(path) }
        let flags = CInt(CASYNCIO_O_PATH) | O_NOFOLLOW | O_CLOEXEC
        return unsafe withPath(path) { path in result { unsafe Glibc.open(path, flags) } }
    }

    /// fchmod(2) of the file that ``openItself(_:)`` has opened.
    package static func setPermissions(ofItself file: CInt, _ permissions: UInt32) -> Int {
        if let standIn { return standIn.setPermissions(file, permissions) }
        return result { unsafe chmod("/proc/self/fd/\(file)", mode_t(permissions)) }
    }

    /// unlink(2).
    package static func unlink(_ path: [UInt8]) -> Int {
        if let standIn { return standIn.unlink(path) }
        return unsafe withPath(path) { path in result { unsafe Glibc.unlink(path) } }
    }

    /// open(2) of a folder, for ``lockFolder(_:)``.
    package static func openFolder(_ path: [UInt8]) -> Int {
        // Nobody else runs at the same time: nothing has to be locked.
        if isSimulated { return Errno.permissionDenied.negated }
        return unsafe withPath(path) { path in
            result { unsafe Glibc.open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC) }
        }
    }

    /// flock(2), exclusive; `EAGAIN` if somebody else has it. Does not wait.
    package static func lockFolder(_ folder: CInt) -> Int { result { flock(folder, LOCK_EX | LOCK_NB) } }

    /// Lends a path to a system call, with its terminator.
    fileprivate static func withPath<Result>(_ path: [UInt8], _ body: (UnsafePointer<CChar>) -> Result) -> Result {
        let terminated = path.map { CChar(bitPattern: $0) } + [0]
        return unsafe terminated.withUnsafeBufferPointer { memory in
            // Never empty: the terminator is there.
            guard let base = memory.baseAddress else { preconditionFailure("a path without a terminator") }
            return unsafe body(base)
        }
    }
}

/// Which file it is: device and inode. Its permissions are no part of that.
package struct FileIdentity: Equatable {
    let device: UInt64
    let inode: UInt64
    package let isSocket: Bool
    /// The permission bits.
    package let permissions: UInt32

    package init(device: UInt64, inode: UInt64, isSocket: Bool, permissions: UInt32) {
        self.device = device
        self.inode = inode
        self.isSocket = isSocket
        self.permissions = permissions
    }

    package static func == (left: FileIdentity, right: FileIdentity) -> Bool {
        left.device == right.device && left.inode == right.inode && left.isSocket == right.isSocket
    }

    /// Nil if nothing is at the path. A link is itself.
    package init?(of path: [UInt8]) {
        if let standIn = SystemCall.standIn {
            guard let identity = standIn.identity(of: path) else { return nil }
            self = identity
            return
        }
        unsafe self.init { information in
            unsafe SystemCall.withPath(path) { path in unsafe lstat(path, information) }
        }
    }

    package init?(of descriptor: CInt) {
        if let standIn = SystemCall.standIn {
            guard let identity = standIn.identity(of: descriptor) else { return nil }
            self = identity
            return
        }
        unsafe self.init { information in unsafe fstat(descriptor, information) }
    }

    private init?(_ ask: (UnsafeMutablePointer<stat>) -> CInt) {
        var information = stat()
        guard SystemCall.result({ unsafe ask(&information) }) >= 0 else { return nil }
        self.init(
            device: UInt64(truncatingIfNeeded: information.st_dev),
            inode: UInt64(truncatingIfNeeded: information.st_ino),
            isSocket: information.st_mode & S_IFMT == S_IFSOCK, permissions: information.st_mode & 0o7777)
    }
}
