import Foundation
import Testing

/// An inspector as anybody may write one: a plain blocking socket.
final class RawInspector {
    struct TimedOut: Error {}

    private let socket: Int32
    private var unread: [UInt8] = []
    /// Enough for a machine that has much else to do.
    static let patience: TimeInterval = 60

    init(_ path: String) throws {
        socket = Foundation.socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        unsafe withUnsafeMutableBytes(of: &address.sun_path) { memory in
            for (index, byte) in path.utf8.enumerated() { unsafe memory[index] = byte }
        }
        let code = unsafe withUnsafePointer(to: &address) { pointer in
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { [socket] address in
                unsafe connect(socket, address, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        try #require(code == 0, "cannot connect to \(path): \(errno)")
    }

    deinit { close(socket) }

    /// Sends as much as is taken within the patience; whether all of it was.
    @discardableResult
    func send(_ bytes: [UInt8]) -> Bool {
        var rest = bytes[...]
        while !rest.isEmpty {
            var question = pollfd(fd: socket, events: Int16(POLLOUT), revents: 0)
            guard unsafe poll(&question, 1, Int32(Self.patience * 1000)) > 0 else { return false }
            let sent = unsafe rest.withUnsafeBytes { bytes in
                unsafe Foundation.send(socket, bytes.baseAddress, bytes.count, Int32(MSG_NOSIGNAL | MSG_DONTWAIT))
            }
            guard sent > 0 else { return false }
            rest = rest.dropFirst(sent)
        }
        return true
    }

    @discardableResult
    func send(_ text: String) -> Bool { send(Array(text.utf8)) }

    func closeWriting() { shutdown(socket, Int32(SHUT_WR)) }

    /// The next line, without its end; nil when there will be none.
    func line() throws -> String? {
        while true {
            if let end = unread.firstIndex(of: 0x0a) {
                defer { unread.removeFirst(end + 1) }
                return String(decoding: unread[..<end], as: UTF8.self)
            }
            guard let bytes = try read() else { return nil }
            unread += bytes
        }
    }

    /// The lines of an answer, but for its last.
    func answer() throws -> [String] {
        var lines: [String] = []
        while true {
            let next = try #require(try line(), "the answer has no end")
            if next == "end" { return lines }
            lines.append(next)
            if next.hasPrefix("error ") { return lines }
        }
    }

    /// All that comes until the other side closes.
    func rest() throws -> [UInt8] {
        while let bytes = try read() { unread += bytes }
        defer { unread = [] }
        return unread
    }

    /// Reads what has come, without waiting for more.
    func takeWhatIsThere() throws {
        var question = pollfd(fd: socket, events: Int16(POLLIN), revents: 0)
        while unsafe poll(&question, 1, 0) > 0, let bytes = try read() { unread += bytes }
    }

    /// What is there; nil at the end.
    private func read() throws -> [UInt8]? {
        var question = pollfd(fd: socket, events: Int16(POLLIN), revents: 0)
        guard unsafe poll(&question, 1, Int32(Self.patience * 1000)) > 0 else { throw TimedOut() }
        var bytes = [UInt8](repeating: 0, count: 65_536)
        let count = unsafe recv(socket, &bytes, bytes.count, 0)
        return count > 0 ? Array(bytes.prefix(count)) : nil
    }
}
