import AsyncIOKernel

/// The files of Unix sockets of one host, which outlive their sockets, and the host's crashes.
final class SocketFiles {
    // Looked up, and never walked through.
    private var files: [[UInt8]: SocketFile] = [:]
    private var numbers: UInt64 = 0

    subscript(path: [UInt8]) -> SocketFile? { files[path] }

    /// Makes a file for a socket; nil if something is there.
    func make(_ path: [UInt8], for socket: LocalSocket, permissions: UInt32) -> SocketFile? {
        guard files[path] == nil else { return nil }
        numbers += 1
        let file = SocketFile(inode: numbers, socket, permissions)
        files[path] = file
        return file
    }

    /// Whether there was something to remove.
    func remove(_ path: [UInt8]) -> Bool { files.removeValue(forKey: path) != nil }
}

/// The file of a Unix socket.
final class SocketFile {
    private let inode: UInt64
    private weak var owner: LocalSocket?
    var permissions: UInt32

    init(inode: UInt64, _ socket: LocalSocket, _ permissions: UInt32) {
        self.inode = inode
        owner = socket
        self.permissions = permissions
    }

    /// The socket that is bound to it, while that one lives.
    var socket: LocalSocket? {
        guard let owner, !owner.isGone, !owner.isClosed else { return nil }
        return owner
    }

    var identity: FileIdentity {
        FileIdentity(device: 0x51, inode: inode, isSocket: true, permissions: permissions)
    }
}

/// The file itself, opened for its identity alone (O_PATH of open(2)).
final class OpenedPlace: OpenDescription {
    let file: SocketFile

    init(_ kernel: HostKernel, _ file: SocketFile) {
        self.file = file
        super.init(kernel)
    }

    override var label: String { "a socket's file" }
}
