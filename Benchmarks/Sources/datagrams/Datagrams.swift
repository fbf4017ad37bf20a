import AsyncIO
import Glibc

/// `datagrams WAY SIZE N`: what a datagram costs over loopback, sent and received on one loop.
///
/// WAY is `single` (one call for each), `batch` (sendmmsg and recvmmsg, 64 at a time), or `offload` (the same, cut and
/// coalesced by the kernel).
@main
struct Datagrams {
    enum Way: String, CaseIterable { case single, batch, offload }

    static func main() throws {
        let arguments = CommandLine.arguments
        guard arguments.count == 4, let way = Way(rawValue: arguments[1]), let size = Int(arguments[2]),
            let count = Int(arguments[3]), (0...65_507).contains(size), count >= 64
        else {
            print("usage: datagrams \(Way.allCases.map(\.rawValue).joined(separator: "|")) SIZE N")
            exit(64)
        }
        try EventLoop.run {
            let receiving = UDPOptions { options in
                options.coalescesReceived = way == .offload
                options.receiveBuffer = 4 << 20
            }
            let server = try await UDPSocket.bind("127.0.0.1", 0, options: receiving)
            let sending = UDPOptions { $0.segmentsSent = way == .offload }
            let client = try await UDPSocket.connect(to: server.local, options: sending)
            let chunk = [UInt8](repeating: 7, count: size)
            let batch = [[UInt8]](repeating: chunk, count: 64)
            let rounds = count / 64
            let (clock, cpuStart) = (ContinuousClock(), cpu())
            let start = clock.now
            for _ in 0..<rounds {
                var received = 0
                switch way {
                case .single:
                    for _ in 0..<64 { try await client.send(chunk) }
                    while received < 64 {
                        _ = try await server.receive()
                        received += 1
                    }
                case .batch, .offload:
                    let sent = try await client.sendBatch(batch)
                    if let failure = sent.failure { throw failure }
                    while received < 64 {
                        received += try await server.receiveBatch(upTo: 64, limit: 65_535) { _, _ in }
                    }
                }
            }
            let number = Double(rounds * 64)
            let wall = start.duration(to: clock.now) / .nanoseconds(1)
            print(
                "\(way.rawValue) \(size) bytes: \(Int(wall / number)) ns wall, "
                    + "\(Int((cpu() - cpuStart) / number)) ns cpu a datagram, sent and received")
        }
    }

    /// Processor time so far, in nanoseconds.
    static func cpu() -> Double {
        var usage = rusage()
        getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
        let seconds = Double(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec)
        return seconds * 1e9 + Double(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1e3
    }
}
