import Foundation
import Synchronization
import Testing

/// Somebody at the other end of a server: a plain blocking socket, as `nc` would have it.
final class Caller: Sendable {
    private let socket: Int32
    private let unread = Mutex<[UInt8]>([])

    /// Connects. A small receive buffer makes a reader that is stuck soon.
    init(_ port: UInt16, receiveBuffer: Int32? = nil) throws {
        socket = Foundation.socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        if var size = receiveBuffer {
            unsafe setsockopt(socket, SOL_SOCKET, SO_RCVBUF, &size, socklen_t(MemoryLayout<Int32>.size))
        }
        try Self.connect(socket, to: port)
    }

    /// Connects a socket of any kind to a port of this machine.
    static func connect(_ socket: Int32, to port: UInt16) throws {
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        let code = unsafe withUnsafePointer(to: &address) { pointer in
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
                unsafe Foundation.connect(socket, address, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        try #require(code == 0, "cannot connect to port \(port)")
    }

    /// Connects to the chat, gives a name, and reads until the lobby's door.
    convenience init(_ port: UInt16, name: String, receiveBuffer: Int32? = nil) throws {
        try self.init(port, receiveBuffer: receiveBuffer)
        try send("\(name)\n")
        _ = try lines(until: "-- You are in #lobby")
    }

    deinit { close(socket) }

    func send(_ text: String) throws { try send(Array(text.utf8)) }

    /// Sends all; fails if the other side has gone.
    func send(_ bytes: [UInt8]) throws {
        var rest = bytes[...]
        while !rest.isEmpty {
            let sent = unsafe rest.withUnsafeBytes { bytes in
                unsafe Foundation.send(socket, bytes.baseAddress, bytes.count, Int32(MSG_NOSIGNAL))
            }
            try #require(sent > 0, "nobody takes what is sent")
            rest = rest.dropFirst(sent)
        }
    }

    /// No more will be sent; reading goes on.
    func closeWriting() { shutdown(socket, Int32(SHUT_WR)) }

    /// Vanishes: the other side gets a reset.
    func vanish() {
        var now = linger(l_onoff: 1, l_linger: 0)
        unsafe setsockopt(socket, SOL_SOCKET, SO_LINGER, &now, socklen_t(MemoryLayout<linger>.size))
        // The descriptor stays ours, so that its number is nobody else's; what is behind it goes.
        var nowhere = sockaddr(sa_family: sa_family_t(AF_UNSPEC), sa_data: sockaddr().sa_data)
        unsafe Foundation.connect(socket, &nowhere, socklen_t(MemoryLayout<sockaddr>.size))
    }

    /// Talks on, without reading, until the other side says that nobody is there any more; false if it does not.
    func talkToNobody() throws -> Bool {
        let deadline = Date(timeIntervalSinceNow: RunningCommand.patience)
        var question = pollfd(fd: socket, events: 0, revents: 0)
        while deadline.timeIntervalSinceNow > 0 {
            _ = unsafe Foundation.send(socket, "x\n", 2, Int32(MSG_NOSIGNAL))
            if unsafe poll(&question, 1, 50) > 0, Int32(question.revents) & (POLLERR | POLLHUP) != 0 { return true }
        }
        return false
    }

    /// The next line, without its end; nil when there will be none.
    func line() throws -> String? {
        let deadline = Date(timeIntervalSinceNow: RunningCommand.patience)
        while true {
            let line: String? = unread.withLock { unread in
                guard let end = unread.firstIndex(of: 0x0a) else { return nil }
                defer { unread.removeFirst(end + 1) }
                return String(decoding: unread[..<end], as: UTF8.self)
            }
            if let line { return line }
            guard let bytes = try Waiting.read(socket, until: deadline) else { return nil }
            unread.withLock { $0 += bytes }
        }
    }

    /// The lines up to one that begins so; fails if it does not come.
    func lines(until beginning: String) throws -> [String] {
        var lines: [String] = []
        while true {
            let next = try #require(try line(), "the end came before: \(beginning)")
            lines.append(next)
            if next.hasPrefix(beginning) { return lines }
        }
    }

    /// The bytes until the end.
    func restOfBytes() throws -> [UInt8] {
        let deadline = Date(timeIntervalSinceNow: RunningCommand.patience)
        while let bytes = try Waiting.read(socket, until: deadline) { unread.withLock { $0 += bytes } }
        return unread.withLock { unread in
            defer { unread = [] }
            return unread
        }
    }

    /// Everything until the end.
    func rest() throws -> [String] {
        var lines: [String] = []
        while let line = try line() { lines.append(line) }
        return lines
    }
}
