import AsyncIO
import Foundation

/// `17-udp-time serve HOST PORT` tells the time to whoever asks (RFC 868: seconds since 1900, in four bytes).
/// `17-udp-time ask HOST PORT` asks, and asks again when no answer comes: datagrams may get lost.
@main
struct Time {
    static func main() {
        let arguments = CommandLine.arguments
        guard arguments.count == 4, ["serve", "ask"].contains(arguments[1]), let port = UInt16(arguments[3]) else {
            print("usage: 17-udp-time serve|ask HOST PORT")
            exit(64)
        }
        do {
            try EventLoop.run {
                switch arguments[1] {
                case "serve": try await serve(arguments[2], port)
                default: print(try await ask(arguments[2], port).formatted(.iso8601))
                }
            }
        } catch {
            FileHandle.standardError.write(Data("17-udp-time: \(error)\n".utf8))
            exit(1)
        }
    }

    /// From 1900 to 1970, in seconds.
    static let epoch = 2_208_988_800.0

    static func serve(_ host: String, _ port: UInt16) async throws {
        let socket = try await UDPSocket.bind(host, port)
        print("telling the time on \(socket.local)")
        fflush(nil)
        // Whatever the question is, also an empty one, the answer is the time.
        for try await question in socket.datagrams(upTo: 1) {
            let seconds = UInt32(truncatingIfNeeded: UInt64(Date().timeIntervalSince1970 + epoch))
            let answer = (0..<4).map { UInt8(truncatingIfNeeded: seconds >> (24 - 8 * $0)) }
            do {
                try await socket.send(answer, to: question.peer)
            } catch let error as IOError {
                print("no answer for \(question.peer): \(error)")
            }
        }
    }

    static func ask(_ host: String, _ port: UInt16) async throws -> Date {
        // Connected: it hears from this server alone, and is told if nobody is there.
        let socket = try await UDPSocket.connect(host, port)
        for _ in 0..<3 {
            try await socket.send([])
            do {
                let answer = try await withTimeout(.seconds(1)) { try await socket.receive(upTo: 4) }
                let seconds = answer.bytes.reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
                return Date(timeIntervalSince1970: Double(seconds) - epoch)
            } catch is TimeoutError {}
        }
        throw IOError(.timedOut, operation: "ask", subject: "\(host):\(port)", detail: "no answer to three questions")
    }
}
