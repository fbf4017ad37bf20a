import AsyncIOKernel
import SystemPackage

// The names of Unix sockets.
extension HostNetwork {
    // MARK: Names without files

    func take(abstract name: [UInt8], for socket: LocalSocket) -> Int {
        guard abstractNames[name] == nil else { return Errno.addressInUse.negated }
        abstractNames[name] = socket
        socket.name = name
        return 0
    }

    /// The kernel chooses a name of five digits.
    func nameAbstractly(_ socket: LocalSocket) -> Int {
        while true {
            abstractNumbers += 1
            let digits = String(abstractNumbers, radix: 16)
            let name = [0] + Array((String(repeating: "0", count: max(0, 5 - digits.count)) + digits).utf8)
            if abstractNames[name] == nil { return take(abstract: name, for: socket) }
        }
    }

    func socket(abstract name: [UInt8]) -> LocalSocket? { abstractNames[name] }

    func forget(_ socket: LocalSocket) {
        if socket.name.first == 0, abstractNames[socket.name] === socket { abstractNames[socket.name] = nil }
    }

    // MARK: Files

    func openPlace(_ kernel: HostKernel, _ path: [UInt8]) -> Int {
        switch kernel.disk.node(at: path, follows: false) {
        case .success(let node): kernel.install(OpenedPlace(kernel, node))
        case .failure(let error): error.negated
        }
    }

    func identity(of path: [UInt8]) -> FileIdentity? {
        try? host.disk.node(at: path, follows: false).get().identity
    }

    func identity(of description: OpenDescription?) -> FileIdentity? { (description as? OpenedPlace)?.node.identity }

    func setPermissions(of description: OpenDescription, _ permissions: UInt32) -> Int {
        if let place = description as? OpenedPlace {
            do { return try host.disk.setPermissions(place.node, permissions) } catch { return error.negated }
        } else if let socket = description as? LocalSocket {
            socket.permissions = permissions
        } else {
            return Errno.invalidArgument.negated
        }
        return 0
    }

    func unlink(_ path: [UInt8]) -> Int {
        do { return try host.disk.remove(path, host.disk.root, isFolder: false) } catch { return error.negated }
    }
}
