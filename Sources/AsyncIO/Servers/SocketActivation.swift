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
    /// listening stream socket; then nothing is taken, and all of them stay open as they are.
    public static func take(options: TCPOptions = TCPOptions(), on loop: EventLoop? = nil) async throws
        -> SocketActivation
    {
        let loop = try EventLoop.required(loop)
        let environment = ListenEnvironment.current
        guard let names = try environment.names(forProcess: getpid()) else { return SocketActivation(listeners: []) }
        // All are looked at before the first is taken.
        let families = try names.enumerated().map { index, name in
            let number = CInt(ListenEnvironment.firstDescriptor + index)
            return try Socket.inspect(listening: number, "inherited descriptor \(number) (\(name))").family
        }
        let isOurs = isTaken.withLock { isTaken in
            defer { isTaken = true }
            return !isTaken
        }
        guard isOurs else { return SocketActivation(listeners: []) }
        var listeners: [(name: String, listener: Listener)] = []
        for (index, name) in names.enumerated() {
            let descriptor = Descriptor(owning: CInt(ListenEnvironment.firstDescriptor + index))
            if families[index] == .unix {
                listeners.append((name, .unix(try await UnixListener(adopting: descriptor, on: loop))))
            } else {
                let listener = try await TCPListener(adopting: descriptor, options: options, on: loop)
                listeners.append((name, .tcp(listener)))
            }
        }
        return SocketActivation(listeners: listeners)
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
