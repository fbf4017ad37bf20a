import AsyncIO
import AsyncIOKernel
import AsyncIOLoop
import Glibc
import SystemPackage
import Testing

/// A client and the server's side of the same connection, both of this package and on one loop.
struct Connection {
    let client: TCPStream
    let server: TCPStream

    init(on loop: EventLoop) async throws {
        let listener = try await TCPListener.bind("127.0.0.1", 0, on: loop)
        client = try await TCPStream.connect(to: listener.address, on: loop)
        server = try await listener.accept()
        listener.close()
    }
}

/// A stream of this package whose other side is a plain socket.
func streamWithPeer(on loop: EventLoop, receiveBuffer: CInt? = nil) async throws -> (TCPStream, Peer) {
    let listener = try await TCPListener.bind("127.0.0.1", 0, on: loop)
    let peer = try Peer(to: listener.address, receiveBuffer: receiveBuffer)
    let stream = try await listener.accept()
    listener.close()
    return (stream, peer)
}

extension TCPStream {
    /// Reads until the end.
    func readAll(upTo limit: Int = maximumRead) async throws -> [UInt8] {
        var all: [UInt8] = []
        while let bytes = try await read(upTo: limit) { all += bytes }
        return all
    }

    /// Reads exactly so many bytes, fewer only at the end.
    func readExactly(_ count: Int) async throws -> [UInt8] {
        var all: [UInt8] = []
        while all.count < count, let bytes = try await read(upTo: min(count - all.count, Self.maximumRead)) {
            all += bytes
        }
        return all
    }
}

/// Which end of a connection counts.
enum End: Int { case local = 1, remote = 2 }

/// The sockets that somebody holds open, by the port at one of their ends, as the kernel lists them.
///
/// Connections that merely linger have no inode, and do not count. Other tests run in the same process, so its number
/// of descriptors says nothing.
func openSockets(_ end: End, port: UInt16) throws -> Int {
    let wanted = ":" + String(format(port))
    var count = 0
    for file in ["/proc/self/net/tcp", "/proc/self/net/tcp6"] {
        for line in try contents(of: file).split(separator: "\n").dropFirst() {
            let fields = line.split(separator: " ")
            guard fields.count > 9, fields[9] != "0" else { continue }
            if fields[end.rawValue].hasSuffix(wanted) { count += 1 }
        }
    }
    return count
}

/// Expects that many open sockets with a port, soon: the kernel's list is no snapshot, and a close from elsewhere comes
/// a moment later.
func expectOpenSockets(
    _ expected: Int, _ end: End = .local, port: UInt16?, at location: SourceLocation = #_sourceLocation
) async throws {
    let port = try #require(port, sourceLocation: location)
    let deadline = Instant.monotonicNow.advanced(by: .seconds(10))
    var count = try openSockets(end, port: port)
    while count != expected && Instant.monotonicNow < deadline {
        await Task.yield()
        count = try openSockets(end, port: port)
    }
    #expect(count == expected, "sockets open on port \(port)", sourceLocation: location)
}

private func format(_ port: UInt16) -> Substring {
    ("000" + String(port, radix: 16, uppercase: true)).suffix(4)
}

private func contents(of path: String) throws -> String {
    let number = CInt(try SystemCall.call("open", path) { unsafe open(path, O_RDONLY | O_CLOEXEC) })
    let file = Descriptor(owning: number)
    var all: [UInt8] = []
    var part = [UInt8](repeating: 0, count: 65_536)
    while true {
        let count = try SystemCall.call("read", path) {
            unsafe part.withUnsafeMutableBytes { unsafe read(file.number, $0.baseAddress, $0.count) }
        }
        if count == 0 { return String(decoding: all, as: UTF8.self) }
        all += part.prefix(count)
    }
}

/// Runs a body that has to fail with an ``IOError``, and returns it.
func ioError(
    at location: SourceLocation = #_sourceLocation, _ body: () async throws -> some Any
) async throws -> IOError {
    try await #require(throws: IOError.self, sourceLocation: location) { _ = try await body() }
}
