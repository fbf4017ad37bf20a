import AsyncIO
import Glibc

/// `15-port-scanner [HOST] [FIRST] [LAST] [AT ONCE]` tries ports of a host, many at once but never all, and prints the
/// open ones, with what the service says first if it speaks soon. Scan what is yours: loopback by default.
@main
struct PortScanner {
    enum Finding { case open, closed, silent }

    static func main() {
        let arguments = CommandLine.arguments
        let host = arguments.count > 1 ? arguments[1] : "127.0.0.1"
        let numbers = arguments.dropFirst(2).map { UInt16($0) ?? 0 }
        let first = numbers.first ?? 1
        let last = numbers.count > 1 ? numbers[1] : max(first, 1024)
        let limit = numbers.count > 2 ? Int(numbers[2]) : 256
        guard numbers.count <= 3, first >= 1, first <= last, (1...1024).contains(limit) else {
            print("usage: 15-port-scanner [HOST] [FIRST] [LAST] [AT ONCE, up to 1024]")
            exit(64)
        }
        do {
            try EventLoop.run { try await scan(host, first...last, limit: limit) }
        } catch {
            print("15-port-scanner: \(error)")
            exit(1)
        }
    }

    static func scan(_ host: String, _ ports: ClosedRange<UInt16>, limit: Int) async throws {
        // The name is looked up once, not once a port.
        let address = try await lookUp(host)[0]
        let began = ContinuousClock.now
        let findings = try await gatherEach(ports, limit: limit) { try await visit(address.with(port: $0)) }
        let count = { finding in findings.count { $0 == finding } }
        let took = began.duration(to: .now)
        let all = findings.count
        print("\(count(.open)) open, \(count(.closed)) closed, \(count(.silent)) silent: \(all) in \(took)")
    }

    static func visit(_ address: SocketAddress) async throws -> Finding {
        do {
            let service = try await TCPStream.connect(to: address, options: ConnectOptions(timeout: .seconds(1)))
            defer { service.close() }
            // Many services wait for us to speak first; and who hangs up at once is there all the same.
            let words = try? await withTimeout(.milliseconds(200)) { try await service.read(upTo: 100) }
            // A stranger's bytes may be commands to the terminal: only what is visible gets there.
            let line = (words ?? []).prefix { $0 != UInt8(ascii: "\n") }.filter { (0x20...0x7e).contains($0) }
            print("\(address) \(line.isEmpty ? "open" : "open: \(String(decoding: line, as: UTF8.self))")")
            return .open
        } catch let error as IOError where error.code == .connectionRefused {
            return .closed
        } catch let error as IOError where [.timedOut, .noRouteToHost, .networkUnreachable].contains(error.code) {
            return .silent
        }  // Anything else, such as too many open files, is no finding about the port: it ends the scan.
    }
}
