// FlyingFox's server on our loop: its handlers, its connections' tasks, and the waiting for their sockets.
//
// FlyingFox asks a pool when a socket is ready. The pool here asks the loop: no second thread waits for anything.

import AsyncIO
import FlyingFox
import FlyingSocks
import Foundation

@main
struct Main {
    static func main() throws {
        try EventLoop.run {
            let port = CommandLine.arguments.dropFirst().first.flatMap { UInt16($0) } ?? 8080
            guard let loop = EventLoop.current else { return }
            let server = HTTPServer(address: try .inet(ip4: "127.0.0.1", port: port), pool: LoopPool(loop: loop))
            await server.appendRoute("GET /") { _ in
                let place = EventLoop.current.map { "the loop, over \($0.driverName)" } ?? "somewhere else"
                return HTTPResponse(statusCode: .ok, body: Data("hello from \(place)\n".utf8))
            }
            try await server.run()
        }
    }
}

/// Waits for sockets by the loop.
struct LoopPool: AsyncSocketPool {
    let loop: EventLoop

    func prepare() async throws {}

    /// The loop runs by itself: there is nothing to do until the server ends.
    func run() async throws {
        try await loop.sleep(for: .seconds(1 << 40))
    }

    func suspendSocket(_ socket: Socket, untilReadyFor events: Socket.Events) async throws {
        let descriptor = socket.file.rawValue
        switch (events.contains(.read), events.contains(.write)) {
        case (true, true):
            try await race({ try await loop.waitReadable(descriptor) }, { try await loop.waitWritable(descriptor) })
        case (_, true): try await loop.waitWritable(descriptor)
        default: try await loop.waitReadable(descriptor)
        }
    }
}
