public import AsyncIOKernel
public import AsyncIOLoop
import CAsyncIO
import Glibc
public import SystemPackage

/// A listening Unix socket. See ``StreamListener`` for how it serves.
public typealias UnixListener = StreamListener<UnixStream>

/// Several listening Unix sockets that serve one handler. See ``StreamServer``.
public typealias UnixServer = StreamServer<UnixStream>

/// How a Unix listener behaves.
public struct UnixOptions: Sendable {
    /// Who may connect: the permissions of the socket's file, of which the right to write counts (unix(7)); nil leaves
    /// them to the process's umask(2). The file never has more than these, not even for a moment.
    public var permissions: FilePermissions?
    /// What becomes of the file of a socket on which nobody listens any more.
    public var staleFile: StaleFile
    /// How many connections the kernel keeps until they are accepted. The system's `somaxconn` limits it.
    public var backlog: Int32

    /// Creates options.
    public init(permissions: FilePermissions? = nil, staleFile: StaleFile = .replace, backlog: Int32 = 4096) {
        self.permissions = permissions
        self.staleFile = staleFile
        self.backlog = backlog
    }

    /// What becomes of the file of a socket on which nobody listens any more: its owner was killed.
    public enum StaleFile: Sendable {
        /// It is removed, once it is certain that nobody listens.
        case replace
        /// Listening fails with `EADDRINUSE`.
        case refuse
    }
}

extension StreamListener where Connection == UnixStream {
    convenience init(_ core: ServerCore) { self.init(core) { UnixStream($0) } }

    /// Listens at a path. The file is removed when the listener closes, if it is still the same one.
    ///
    /// A file that is there already is only ever removed if it is a socket on which nobody listens, see
    /// ``UnixOptions/staleFile``. Processes that do this at the same time, with this package, take turns by a lock on
    /// the folder (flock(2)), for which this suspends at most a second. Throws ``IOError``: `EADDRINUSE` if somebody
    /// listens there, or if the file is no socket; `ENOENT` or `EACCES` for the folder; `EINVAL` for a path of more
    /// than ``SocketAddress/maximumUnixLength`` bytes.
    public static func bind(
        _ path: String, options: UnixOptions = UnixOptions(), on loop: EventLoop? = nil
    ) async throws -> UnixListener {
        try await bind(to: .unix(path: path), options: options, on: loop)
    }

    /// Listens on a Unix address: a path, or an abstract name, which has neither file nor permissions; with
    /// ``SocketAddress/unnamedUnix`` the kernel chooses a name. As ``bind(_:options:on:)``.
    public static func bind(
        to address: SocketAddress, options: UnixOptions = UnixOptions(), on loop: EventLoop? = nil
    ) async throws -> UnixListener {
        let loop = try EventLoop.required(loop)
        let descriptor = try Socket.openUnix(for: address, CInt(SOCK_STREAM.rawValue), "bind")
        let (number, subject) = (descriptor.number, "\(address)")
        let place: SocketPlace?
        if let path = address.pathBytes {
            place = try await SocketPlace.take(path, for: number, .stream, address, options, on: loop)
        } else {
            try Socket.bind(number, to: address)
            try Socket.listen(number, backlog: options.backlog, address)
            place = nil
        }
        do {
            let local = Socket.localAddress(number) ?? address
            let handle = try await loop.adopt(descriptor, subject)
            return UnixListener(
                ServerCore(
                    loop: loop, source: .socket(handle), address: local, place: place, backlog: options.backlog))
        } catch {
            place?.giveUp()
            throw error
        }
    }

    /// Takes over a Unix stream socket that listens already: one that another program has opened, and handed to this
    /// one. Its file stays when the listener closes: it is the other program's.
    ///
    /// Makes it close-on-exec and non-blocking; the latter holds for everybody who shares the socket. The descriptor is
    /// closed if this throws: ``IOError`` with `EINVAL` if it is no listening Unix socket, `EBADF` if it is not open.
    public convenience init(adopting descriptor: consuming Descriptor, on loop: EventLoop? = nil) async throws {
        let loop = try EventLoop.required(loop)
        let address = try Socket.inspect(listening: descriptor.number, "descriptor \(descriptor.number)")
        guard address.family == .unix else {
            throw IOError(
                .invalidArgument, operation: "adopt", subject: "\(address)",
                detail: "this is a TCP socket; adopt it as a TCPListener")
        }
        let handle = try await loop.adopt(descriptor, "\(address)")
        self.init(ServerCore(loop: loop, source: .socket(handle), address: address))
    }
}
