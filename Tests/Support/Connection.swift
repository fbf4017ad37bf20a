package import AsyncIO
package import AsyncIOKernel
package import AsyncIOLoop
import Glibc
import SystemPackage
package import Testing

/// A client and the server's side of the same connection, both of this package and on one loop.
package struct Connection {
    package let client: TCPStream
    package let server: TCPStream

    package init(on loop: EventLoop) async throws {
        let listener = try await TCPListener.bind("127.0.0.1", 0, on: loop)
        client = try await TCPStream.connect(to: listener.address, on: loop)
        server = try await listener.accept()
        listener.close()
    }
}

/// A stream of this package whose other side is a plain socket.
package func streamWithPeer(on loop: EventLoop, receiveBuffer: CInt? = nil) async throws -> (TCPStream, Peer) {
    let listener = try await TCPListener.bind("127.0.0.1", 0, on: loop)
    let peer = try Peer(to: listener.address, receiveBuffer: receiveBuffer)
    let stream = try await listener.accept()
    listener.close()
    return (stream, peer)
}

extension TCPStream {
    /// Reads until the end.
    package func readAll(upTo limit: Int = maximumRead) async throws -> [UInt8] {
        var all: [UInt8] = []
        while let bytes = try await read(upTo: limit) { all += bytes }
        return all
    }

    /// Reads exactly so many bytes, fewer only at the end.
    package func readExactly(_ count: Int) async throws -> [UInt8] {
        var all: [UInt8] = []
        while all.count < count, let bytes = try await read(upTo: min(count - all.count, Self.maximumRead)) {
            all += bytes
        }
        return all
    }
}

/// Which end of a connection counts.
package enum End: Int { case local = 1, remote = 2 }

/// The sockets that somebody holds open, by the port at one of their ends, as the kernel lists them.
///
/// Connections that merely linger have no inode, and do not count. Other tests run in the same process, so its number
/// of descriptors says nothing.
package func openSockets(_ end: End, port: UInt16) throws -> Int {
    let wanted = ":" + String(format(port))
    var count = 0
    for file in ["/proc/self/net/tcp", "/proc/self/net/tcp6"] {
        for line in try ProcessTable.contents(of: file).split(separator: "\n").dropFirst() {
            let fields = line.split(separator: " ")
            guard fields.count > 9, fields[9] != "0" else { continue }
            if fields[end.rawValue].hasSuffix(wanted) { count += 1 }
        }
    }
    return count
}

/// Expects that many open sockets with a port, soon: the kernel's list is no snapshot, and a close from elsewhere comes
/// a moment later.
package func expectOpenSockets(
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

/// Runs a body that has to fail with an ``IOError``, and returns it.
package func ioError(
    at location: SourceLocation = #_sourceLocation, _ body: () async throws -> some Any
) async throws -> IOError {
    try await #require(throws: IOError.self, sourceLocation: location) { _ = try await body() }
}
