import AsyncIO
import Glibc

/// `16-line-client HOST PORT TRIES LINE…` asks a server that answers each line with a line, and copes with one that
/// breaks off, is silent, or is away for a while. What it asks may arrive twice: ask nothing where that matters.
@main
struct LineClient {
    let (host, port, tries): (String, UInt16, Int)
    let requests = AsyncQueue<(line: String, answer: Promise<String>.Resolver)>(capacity: 16)

    static func main() throws {
        let words = CommandLine.arguments
        guard words.count > 4, let port = UInt16(words[2]), let tries = Int(words[3]) else { exit(64) }
        try EventLoop.run {
            let client = LineClient(host: words[1], port: port, tries: tries)
            async let running: Void = client.run()
            let results = try await gatherEachResult(words[4...], limit: 100) { try await client.ask($0) }
            client.requests.finish()
            try await running
            for (line, result) in zip(words[4...], results) { print("\(line): \((try? result.get()) ?? "failed")") }
        }
    }

    func ask(_ line: String) async throws -> String {
        let (answer, resolver) = Promise<String>.make()
        try await requests.put((line, resolver))
        return try await answer.value
    }

    /// If this ends early, it drops the requests: their promises break, and nobody waits in vain.
    private func run() async throws {
        defer { requests.cancel() }
        var reader: BufferedReader<TCPStream>?  // Its last reference closes the connection.
        for try await (line, resolver) in requests {
            var (tried, pause) = (0, Duration.milliseconds(50))
            while !resolver.isFulfilled {
                do {
                    resolver.fulfil(try await withTimeout(.milliseconds(500)) { try await answer(to: line, &reader) })
                } catch {
                    // What still came over this connection would pass for the answer to the next question.
                    (reader, tried) = (nil, tried + 1)
                    print("\(line), try \(tried): \(error)")
                    fflush(nil)
                    if tried >= tries || error is CancellationError { resolver.fail(error) }
                    // Twice as long each time, up to a limit; and not all clients at the same moment.
                    try await Task.sleep(for: pause * Double.random(in: 0.5...1))
                    pause = min(pause * 2, .seconds(1))
                }
            }
        }
    }

    private func answer(to line: String, _ reader: inout BufferedReader<TCPStream>?) async throws -> String {
        if reader == nil { reader = BufferedReader(try await TCPStream.connect(host, port)) }
        try await reader?.stream.write(line + "\n")
        if let answer = try await reader?.readLine(limit: 1000) { return answer }
        throw IOError(.connectionReset, operation: "read", subject: "\(host):\(port)", detail: "the server has left")
    }
}
