import AsyncIO
import AsyncIOTLS
import Glibc

/// `tls-costs WHAT CERTIFICATE KEY N [SIZE [DRIVER]]`: a server on a port that it prints, and what its work costs.
/// `compare.py` starts it beside a loop of OpenSSL's that does the same, and gives both of them the same peer.
///
/// - `send`: one connection, to which N writes of SIZE bytes are sent
/// - `receive`: one connection, which sends N times SIZE bytes
/// - `handshake`: N connections one after the other, closed in good order after the handshake
/// - `idle`: N connections at once; each sends SIZE bytes, gets them back, and stays
@main
struct TLSCosts {
    enum What: String { case send, receive, handshake, idle }

    static func main() throws {
        let arguments = CommandLine.arguments
        guard arguments.count >= 5, let what = What(rawValue: arguments[1]), let count = Int(arguments[4]), count > 0,
            let size = arguments.count > 5 ? Int(arguments[5]) : 16_384, size >= 0,
            let driver = DriverChoice(rawValue: arguments.count > 6 ? arguments[6] : "auto")
        else {
            print("usage: tls-costs send|receive|handshake|idle CERTIFICATE KEY N [SIZE [DRIVER]]")
            exit(64)
        }
        let acceptor = try TLSAcceptor(TLSIdentity(certificateFile: arguments[2], keyFile: arguments[3]))
        try EventLoop.run(options: EventLoop.Options(driver: driver)) {
            let listener = try await TCPListener.bind("127.0.0.1", 0)
            say("port", Int(listener.address.port ?? 0))
            switch what {
            case .send, .receive: try await records(listener, acceptor, what, count, size)
            case .handshake: try await handshakes(listener, acceptor, count)
            case .idle: try await idlers(listener, acceptor, count, size)
            }
        }
    }

    static func records(
        _ listener: TCPListener, _ acceptor: TLSAcceptor, _ what: What, _ count: Int, _ size: Int
    ) async throws {
        let stream = try await TLSStream.server(over: listener.accept(), tls: acceptor)
        let piece = [UInt8](repeating: 0x61, count: size)
        let before = processorTime()
        if what == .send {
            for _ in 0..<count { try await stream.write(piece) }
        } else {
            var rest = count * size
            while rest > 0, let bytes = try await stream.read() { rest -= bytes.count }
        }
        say("cpu", processorTime() - before)
        try await stream.closeWriting()
        while try await stream.read() != nil {}
    }

    static func handshakes(_ listener: TCPListener, _ acceptor: TLSAcceptor, _ count: Int) async throws {
        let before = processorTime()
        for _ in 0..<count {
            let stream = try await TLSStream.server(over: listener.accept(), tls: acceptor)
            try await stream.closeWriting()
            while try await stream.read() != nil {}
            stream.close()
        }
        say("cpu", processorTime() - before)
    }

    static func idlers(_ listener: TCPListener, _ acceptor: TLSAcceptor, _ count: Int, _ size: Int) async throws {
        let before = residentMemory()
        let ready = AsyncQueue<Int>(capacity: .unbounded)
        try await withThrowingTaskGroup(of: Void.self) { group in
            for number in 0..<count {
                let connection = try await listener.accept()
                group.addTask {
                    let stream = try await TLSStream.server(over: connection, tls: acceptor)
                    var rest = size
                    while rest > 0, let bytes = try await stream.read() {
                        rest -= bytes.count
                        try await stream.write(bytes)
                    }
                    _ = ready.tryPut(number)
                    while try await stream.read() != nil {}
                }
            }
            for _ in 0..<count { _ = try await ready.get() }
            // The time in which a connection becomes an idle one.
            try await Task.sleep(for: .seconds(3))
            say("memory", residentMemory() - before)
            exit(0)
        }
    }

    /// At once, also into a pipe.
    static func say(_ what: String, _ value: Int) {
        print(what, value)
        fflush(nil)
    }

    /// What this process has used of the processors, in nanoseconds.
    static func processorTime() -> Int {
        var time = timespec()
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
        return time.tv_sec * 1_000_000_000 + time.tv_nsec
    }

    /// This process's memory, in bytes.
    static func residentMemory() -> Int {
        guard let file = fopen("/proc/self/statm", "r") else { return 0 }
        defer { fclose(file) }
        var line = [CChar](repeating: 0, count: 256)
        guard fgets(&line, Int32(line.count), file) != nil else { return 0 }
        let fields = String(decoding: line.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
            .split(separator: " ")
        return fields.count > 1 ? (Int(fields[1]) ?? 0) * sysconf(Int32(_SC_PAGESIZE)) : 0
    }
}
