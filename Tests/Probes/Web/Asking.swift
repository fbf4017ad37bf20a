#if HTTP
import AsyncIOHTTP

/// Asks other people's servers for the bytes that both sides know, or hands them in.
enum Asking {
    /// `web-probe get URL…`: a line for each of them, `status count right|wrong`, and at last `memory N KiB`.
    static func get(_ urls: [String]) async throws {
        try await HTTPClient.withClient { client in
            for url in urls {
                let response = try await client.get(url)
                var count = 0
                var isPattern = true
                for try await piece in response.body {
                    isPattern = isPattern && Pattern.fits(piece, at: count)
                    count += piece.count
                }
                Main.say("\(response.status.code) \(count) \(isPattern ? "right" : "wrong")")
            }
        }
        Main.say("memory \(try await peakMemory) KiB")
    }

    /// `web-probe put URL COUNT length|chunks`: the line that the server answers, and at last `memory N KiB`.
    static func put(_ url: String, _ count: Int, hasLength: Bool) async throws {
        try await HTTPClient.withClient { client in
            let response = try await client.put(url, body: Pattern.body(count, hasLength: hasLength))
            Main.say("\(response.status.code) \(try await response.body.text())")
        }
        Main.say("memory \(try await peakMemory) KiB")
    }

    /// The most memory that the process has had, since it is this program.
    private static var peakMemory: String {
        get async throws {
            let status = String(decoding: try await File.readAll("/proc/self/status"), as: UTF8.self)
            let line = status.split(separator: "\n").first { $0.hasPrefix("VmHWM:") } ?? ""
            return String(line.split(separator: "\t").last?.split(separator: " ").first ?? "?")
        }
    }
}
#endif
