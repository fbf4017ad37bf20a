import AsyncIOKernel
import AsyncIOLoop
import CAsyncIO
import Glibc
import SystemPackage

/// What Unix sockets of both kinds have in common: names.
class LocalSocket: NetworkSocket {
    /// What stands in `sun_path`, without terminator; empty without a name.
    final var name: [UInt8] = []
    /// The permissions that bind(2) gives to the file.
    final var permissions: UInt32 = 0o777
    final var isClosed = false

    init(_ kernel: HostKernel) { super.init(kernel, AF_UNIX) }

    override func bind(_ address: SocketAddress) -> Int {
        guard let wanted = Self.name(address) else { return Errno.invalidArgument.negated }
        guard name.isEmpty else { return Errno.invalidArgument.negated }
        guard !wanted.isEmpty else { return network.nameAbstractly(self) }
        if wanted[0] == 0 { return network.take(abstract: wanted, for: self) }
        if let error = network.host.disk.makeSocket(wanted, for: self) { return error.negated }
        name = wanted
        return 0
    }

    /// Whose name an address is: the socket, or the error that connect(2) reports.
    final func find(_ address: SocketAddress) -> Result<LocalSocket, Errno> {
        guard let wanted = Self.name(address), let first = wanted.first else { return .failure(.invalidArgument) }
        let found: LocalSocket?
        if first == 0 {
            found = network.socket(abstract: wanted)
        } else {
            switch file(at: wanted) {
            case .failure(let error): return .failure(error)
            case .success(let node):
                guard network.host.disk.may(0o2, node) else { return .failure(.permissionDenied) }
                found = node.livingSocket
            }
        }
        guard let found else { return .failure(.connectionRefused) }
        guard found.kind.type == kind.type else { return .failure(.protocolWrongTypeForSocket) }
        return .success(found)
    }

    private func file(at path: [UInt8]) -> Result<DiskNode, Errno> {
        let prefix = Array("/proc/self/fd/".utf8)
        if path.starts(with: prefix), let number = CInt(String(decoding: path[prefix.count...], as: UTF8.self)) {
            return (kernel?[number] as? OpenedPlace).map { .success($0.node) } ?? .failure(.noSuchFileOrDirectory)
        }
        return network.host.disk.node(at: path, follows: true)
    }

    /// Nil for an address of another family.
    private static func name(_ address: SocketAddress) -> [UInt8]? {
        guard address.family == .unix else { return nil }
        return unsafe address.withSockaddr { pointer, length in
            let bytes = unsafe UnsafeRawBufferPointer(start: pointer, count: Int(length)).dropFirst(2)
            guard let first = unsafe bytes.first, first != 0 else { return unsafe Array(bytes) }
            return unsafe Array(bytes.prefix { $0 != 0 })
        }
    }

    /// The bytes of a `sockaddr`.
    static func sockaddr(_ name: [UInt8]) -> [UInt8] {
        let family = unsafe withUnsafeBytes(of: sa_family_t(AF_UNIX)) { unsafe Array($0) }
        return family + name + (name.first.map { $0 != 0 } ?? false ? [0] : [])
    }

    final func text(_ name: [UInt8]) -> String {
        SocketAddress(sockaddr: Self.sockaddr(name)).map { "\($0)" } ?? "unix"
    }

    override var localAddress: (Int, [UInt8]) { (0, Self.sockaddr(name)) }

    override func option(level: CInt, name: CInt, size: Int) -> (Int, [UInt8]) {
        guard level == SOL_SOCKET && name == SO_PEERCRED else {
            return super.option(level: level, name: name, size: size)
        }
        // The simulated host runs one program, as one user.
        let user = SocketOptions.bytes(CInt(bitPattern: network.host.disk.userID))
        let credentials = SocketOptions.bytes(1) + user + user
        return (0, Array(credentials.prefix(max(size, 0))))
    }
}
