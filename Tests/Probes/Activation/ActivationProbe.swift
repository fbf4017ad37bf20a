import AsyncIO
import Glibc

/// `probe-activation`: takes over the sockets that it was given, tells what they are, serves one connection on each,
/// and ends.
@main
struct ActivationProbe {
    static func main() throws {
        try EventLoop.run {
            do {
                try await serve(SocketActivation.take())
            } catch let error as IOError {
                say("\(error)")
            }
        }
    }

    private static func serve(_ inherited: SocketActivation) async throws {
        guard !inherited.listeners.isEmpty else { return say("none") }
        for (name, listener) in inherited.listeners {
            switch listener {
            case .tcp(let listener): say("\(name): \(listener)")
            case .unix(let listener): say("\(name): \(listener)")
            case .udp(let socket): say("\(name): \(socket)")
            case .unixDatagram(let socket): say("\(name): \(socket)")
            }
        }
        let areSafe = inherited.listeners.indices.allSatisfy { index in
            let number = CInt(3 + index)
            return fcntl(number, F_GETFD) & FD_CLOEXEC != 0 && fcntl(number, F_GETFL) & O_NONBLOCK != 0
        }
        say("close-on-exec and non-blocking: \(areSafe)")
        say("a second time: \(try await SocketActivation.take().listeners.count)")
        for listener in inherited.tcp() {
            try await listener.serve { connection in
                listener.shutdown(drain: .seconds(10))
                try await connection.write("\(listener.address)")
            }
        }
        for listener in inherited.unix("control") {
            try await listener.serve { connection in
                listener.shutdown(drain: .seconds(10))
                try await connection.write("\(listener.address)")
            }
        }
        // One datagram back to its sender.
        for socket in inherited.udp("names") {
            let datagram = try await socket.receive()
            try await socket.send(datagram.bytes, to: datagram.peer)
        }
        for socket in inherited.unixDatagram() { say("got \(try await socket.receive().bytes)") }
        say("done")
    }

    /// At once: standard output is a pipe, and would keep the lines.
    private static func say(_ line: String) {
        print(line)
        fflush(nil)
    }
}
