import AsyncIOKernel
import CAsyncIO
import Glibc
import SystemPackage

// The files of Unix sockets: nodes of the host's disk, which outlive their sockets, and the host's crashes.
extension SimulatedDisk {
    /// What bind(2) does. The name is on the disk at once: orphans are what a crash leaves.
    func makeSocket(_ path: [UInt8], for socket: LocalSocket) -> Errno? {
        do throws(Errno) {
            let place = try find(path, from: root, follows: false, isName: true)
            try place.checkName()
            guard place.ending == .name, place.node == nil else { throw .addressInUse }
            if place.isFolder { throw .noSuchFileOrDirectory }
            try checkChange(of: place.folder)
            try fault(.name, place.folder)
            let node = makeNode(.socket, mode: socket.permissions & ~Self.umask & 0o7777)
            node.socket = socket
            found(node, place.name, in: place.folder)
            return nil
        } catch {
            return error
        }
    }

    /// What stands at a path, itself or what it leads to.
    func node(at path: [UInt8], follows: Bool) -> Result<DiskNode, Errno> {
        do throws(Errno) { return .success(try find(path, from: root, follows: follows).existing) } catch {
            return .failure(error)
        }
    }
}

extension DiskNode {
    /// The socket that is bound to it, while that one lives.
    var livingSocket: LocalSocket? {
        guard let socket, !socket.isGone, !socket.isClosed else { return nil }
        return socket
    }

    var identity: FileIdentity {
        FileIdentity(device: 0x51, inode: number, isSocket: isSocket, permissions: mode)
    }
}

/// The file itself, opened for its identity alone (O_PATH of open(2)).
final class OpenedPlace: OpenDescription {
    let node: DiskNode

    init(_ kernel: HostKernel, _ node: DiskNode) {
        self.node = node
        super.init(kernel)
    }

    override var label: String { "a socket's file" }
}
