import AsyncIOKernel
public import AsyncIOLoop
import Glibc
import SystemPackage

/// The listening sockets that a service manager has opened for this process: systemd's socket activation
/// (sd_listen_fds(3)).
///
/// ```swift
/// let inherited = try await SocketActivation.take()
/// if let listener = inherited.tcp("web").first { try await listener.serve { connection in … } }
/// ```
///
/// The manager says in the environment which process they are for (`LISTEN_PID`), how many there are (`LISTEN_FDS`,
/// from descriptor 3 on), and their names (`LISTEN_FDNAMES`). They belong to it: the file of a Unix socket stays when
/// its listener closes.
public struct SocketActivation: Sendable {
    /// One inherited listener, by its kind.
    public enum Listener: Sendable {
        /// An IPv4 or IPv6 stream socket.
        case tcp(TCPListener)
        /// A Unix stream socket.
        case unix(UnixListener)
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

    private static let isTaken = Locked(false)

    /// Takes over the inherited sockets, once: a second call gets none, and so does a process that was given none, as
    /// when it is started by hand.
    ///
    /// Makes them close-on-exec and non-blocking. The options are set for the TCP connections. Does not suspend for
    /// long. Throws ``IOError`` with `EINVAL` if what the environment says makes no sense, or if a descriptor is no
    /// listening stream socket: a datagram socket (`ListenDatagram=`) is refused with its name and type, and all others
    /// with it. Whatever it throws, nothing is taken then: all of them stay open, and a later call may try again.
    public static func take(options: TCPOptions = TCPOptions(), on loop: EventLoop? = nil) async throws
        -> SocketActivation
    {
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
            return SocketActivation(listeners: try await adopt(inherited, options, on: loop))
        } catch {
            isTaken.withLock { $0 = false }
            throw error
        }
    }

    /// Takes over all of them, or none.
    static func adopt(
        _ inherited: [(name: String, number: CInt)], _ options: TCPOptions, on loop: EventLoop
    ) async throws -> [(name: String, listener: Listener)] {
        // All are looked at before the first is touched.
        let addresses = try inherited.map { name, number in
            try Socket.look(listening: number, "inherited descriptor \(number) (\(name))")
        }
        for (inherited, address) in zip(inherited, addresses) {
            try Socket.prepare(listening: inherited.number, "\(address)")
            if address.family != .unix { try Socket.apply(options, to: inherited.number, "\(address)") }
        }
        var handles: [Handle] = []
        do {
            for (inherited, address) in zip(inherited, addresses) {
                let outcome = await loop.perform(.adopt(inherited.number, .socket))
                try loop.check(outcome, "adopt", "\(address)")
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
        return zip(inherited, zip(handles, addresses)).map { inherited, socket in
            let core = ServerCore(loop: loop, source: .socket(socket.0), address: socket.1)
            let listener: Listener = socket.1.family == .unix ? .unix(UnixListener(core)) : .tcp(TCPListener(core))
            return (inherited.name, listener)
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
