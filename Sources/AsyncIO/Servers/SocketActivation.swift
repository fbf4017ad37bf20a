import AsyncIOKernel
public import AsyncIOLoop
import CAsyncIO
import Glibc
import SystemPackage

/// The sockets that a service manager has opened for this process: systemd's socket activation
/// (sd_listen_fds(3)).
///
/// ```swift
/// let inherited = try await SocketActivation.take()
/// if let listener = inherited.tcp("web").first { try await listener.serve { connection in … } }
/// ```
///
/// The manager says in the environment which process they are for (`LISTEN_PID`), how many there are (`LISTEN_FDS`,
/// from descriptor 3 on), and their names (`LISTEN_FDNAMES`). They belong to it: the file of a Unix socket stays when
/// we close ours.
public struct SocketActivation: Sendable {
    /// One inherited socket, by its kind.
    public enum Listener: Sendable {
        /// An IPv4 or IPv6 stream socket.
        case tcp(TCPListener)
        /// A Unix stream socket.
        case unix(UnixListener)
        /// An IPv4 or IPv6 datagram socket (`ListenDatagram=`).
        case udp(UDPSocket)
        /// A Unix datagram socket.
        case unixDatagram(UnixDatagramSocket)
    }

    /// All of them, in the manager's order, each with its name: the unit's `FileDescriptorName=`, or `unknown`.
    public let listeners: [(name: String, listener: Listener)]

    /// The TCP listeners of a name, or all.
    public func tcp(_ name: String? = nil) -> [TCPListener] {
        listeners.compactMap { entry in
            if case .tcp(let listener) = entry.listener, name == nil || entry.name == name { listener } else { nil }
        }
    }

    /// The Unix listeners of a name, or all.
    public func unix(_ name: String? = nil) -> [UnixListener] {
        listeners.compactMap { entry in
            if case .unix(let listener) = entry.listener, name == nil || entry.name == name { listener } else { nil }
        }
    }

    /// The UDP sockets of a name, or all.
    public func udp(_ name: String? = nil) -> [UDPSocket] {
        listeners.compactMap { entry in
            if case .udp(let socket) = entry.listener, name == nil || entry.name == name { socket } else { nil }
        }
    }

    /// The Unix datagram sockets of a name, or all.
    public func unixDatagram(_ name: String? = nil) -> [UnixDatagramSocket] {
        listeners.compactMap { entry in
            guard case .unixDatagram(let socket) = entry.listener, name == nil || entry.name == name else { return nil }
            return socket
        }
    }

    private static let isTaken = Locked(false)

    /// Takes over the inherited sockets, once: a second call gets none, and so does a process that was given none, as
    /// when it is started by hand.
    ///
    /// Makes them close-on-exec and non-blocking. The options are set for the TCP connections, and on the UDP sockets
    /// as ``UDPSocket/init(adopting:options:on:)`` does. Does not suspend for long. Throws ``IOError`` with `EINVAL` if
    /// what the environment says makes no sense, or if a descriptor is neither a listening stream socket nor a datagram
    /// socket: it is refused with its name and type, and all others with it. Whatever it throws, nothing is taken then:
    /// all of them stay open, and a later call may try again.
    public static func take(
        options: TCPOptions = TCPOptions(), datagramOptions: UDPOptions = UDPOptions(), on loop: EventLoop? = nil
    ) async throws -> SocketActivation {
        let loop = try EventLoop.required(loop)
        let isOurs = isTaken.withLock { isTaken in
            defer { isTaken = true }
            return !isTaken
        }
        guard isOurs else { return SocketActivation(listeners: []) }
        do {
            let names = try ListenEnvironment.current.names(forProcess: getpid()) ?? []
            let inherited = names.enumerated().map { index, name in
                (name: name, number: CInt(ListenEnvironment.firstDescriptor + index))
            }
            return SocketActivation(listeners: try await adopt(inherited, options, datagramOptions, on: loop))
        } catch {
            isTaken.withLock { $0 = false }
            throw error
        }
    }

    /// Takes over all of them, or none.
    static func adopt(
        _ inherited: [(name: String, number: CInt)], _ options: TCPOptions,
        _ datagramOptions: UDPOptions = UDPOptions(), on loop: EventLoop
    ) async throws -> [(name: String, listener: Listener)] {
        // All are looked at before the first is touched.
        let sockets = try inherited.map { name, number in
            try InheritedSocket(number, "inherited descriptor \(number) (\(name))")
        }
        let traits = try sockets.map { try $0.prepare(options, datagramOptions) }
        var handles: [Handle] = []
        do {
            for socket in sockets {
                let outcome = await loop.perform(.adopt(socket.number, .socket))
                try loop.check(outcome, "adopt", "\(socket.address)")
                handles.append(Handle(rawValue: outcome.result))
            }
        } catch {
            // The loop closes what it has: it must not have these. A caller that is cancelled has no say in that.
            let adopted = handles
            let release = UncancelledTask.start(name: "giving inherited sockets back") {
                for handle in adopted { _ = await loop.perform(.disown(handle)) }
            }
            _ = await release.result
            throw error
        }
        return inherited.indices.map { index in
            let listener = sockets[index].listener(handles[index], traits[index], datagramOptions, on: loop)
            return (inherited[index].name, listener)
        }
    }
}

/// A socket that somebody else has opened, and what it is good for.
private enum InheritedSocket {
    case listener(CInt, SocketAddress)
    case datagrams(AdoptedDatagrams)

    init(_ number: CInt, _ subject: String) throws(IOError) {
        let type = try Socket.type(of: number, subject, wanted: "a listening stream socket, or a datagram socket,")
        self =
            type == CInt(SOCK_DGRAM.rawValue)
            ? .datagrams(try AdoptedDatagrams(number, subject))
            : .listener(number, try Socket.look(listening: number, subject))
    }

    var number: CInt {
        switch self {
        case .listener(let number, _): number
        case .datagrams(let socket): socket.number
        }
    }

    var address: SocketAddress {
        switch self {
        case .listener(_, let address): address
        case .datagrams(let socket): socket.local
        }
    }

    func prepare(_ options: TCPOptions, _ datagramOptions: UDPOptions) throws -> DatagramCore.Traits {
        switch self {
        case .listener(let number, let address):
            try Socket.prepare(number, "\(address)")
            if address.family != .unix { try Socket.apply(options, to: number, "\(address)") }
            return DatagramCore.Traits()
        case .datagrams(let socket): return try socket.prepare(datagramOptions)
        }
    }

    func listener(
        _ handle: Handle, _ traits: DatagramCore.Traits, _ options: UDPOptions, on loop: EventLoop
    ) -> SocketActivation.Listener {
        switch self {
        case .listener(_, let address):
            let core = ServerCore(loop: loop, source: .socket(handle), address: address)
            return address.family == .unix ? .unix(UnixListener(core)) : .tcp(TCPListener(core))
        case .datagrams(let socket):
            if socket.local.family == .unix { return .unixDatagram(socket.unix(handle, traits, on: loop)) }
            return .udp(socket.udp(handle, traits, options, on: loop))
        }
    }
}

/// What the manager has said: the three variables, if they are set.
struct ListenEnvironment {
    var process: String?
    var count: String?
    var descriptorNames: String?

    /// SD_LISTEN_FDS_START.
    static let firstDescriptor = 3
    /// More can be nothing but a mistake.
    private static let maximumCount = 65_536

    static var current: ListenEnvironment {
        ListenEnvironment(
            process: value("LISTEN_PID"), count: value("LISTEN_FDS"), descriptorNames: value("LISTEN_FDNAMES"))
    }

    private static func value(_ name: String) -> String? {
        unsafe getenv(name).map { unsafe String(cString: $0) }
    }

    /// The name of each descriptor; nil if they are for another process, or if there are none.
    func names(forProcess identifier: pid_t) throws(IOError) -> [String]? {
        guard let process, let count else { return nil }
        guard let intended = pid_t(process) else { throw nonsense("LISTEN_PID", process, "a process's number") }
        // A parent's variables, inherited with the rest of its environment.
        guard intended == identifier else { return nil }
        guard let number = Int(count), (0...Self.maximumCount).contains(number) else {
            throw nonsense("LISTEN_FDS", count, "a number of descriptors")
        }
        guard let descriptorNames, number > 0 else { return [String](repeating: "unknown", count: number) }
        let names = descriptorNames.split(separator: ":", omittingEmptySubsequences: false).map(String.init)
        guard names.count == number else {
            throw nonsense("LISTEN_FDNAMES", descriptorNames, "\(number) names with colons between them")
        }
        return names
    }

    private func nonsense(_ variable: String, _ value: String, _ wanted: String) -> IOError {
        IOError(
            .invalidArgument, operation: "take inherited sockets", subject: variable,
            detail: "\"\(value)\" is not \(wanted)")
    }
}
