#if HTTP
extension HTTPServer.Exchange {
    /// One line for an access log, as Apache's `combined` format has it, in UTC:
    ///
    ///     127.0.0.1 - - [10/Oct/2000:13:55:36 +0000] "GET /a HTTP/1.1" 200 2326 "-" "curl/8.5.0"
    ///
    /// Whatever a client sends stays within its quotes and on its line: all but printable ASCII, and quotes and
    /// backslashes, is written as `\xhh`. The time is the request's, by the machine's clock. What was refused before
    /// its first line was understood has `"-"` for it.
    ///
    /// ```swift
    /// server.onResponse = { exchange in lines.trySend(exchange.combinedLogLine) }
    /// ```
    public var combinedLogLine: String {
        combinedLogLine(time: HTTPDate(secondsSinceEpoch: HTTPDate.now.secondsSinceEpoch - duration.components.seconds))
    }

    func combinedLogLine(time: HTTPDate) -> String {
        let host = request.connection.peer.map { $0.port == nil ? "unix" : $0.host } ?? "-"
        // Sun, 06 Nov 1994 08:49:37 GMT
        let parts = time.description.split(separator: " ")
        let stamp = "\(parts[1])/\(parts[2])/\(parts[3]):\(parts[4]) +0000"
        let words = "\(Self.escaped(request.method.rawValue)) \(Self.escaped(request.target)) \(request.version)"
        let line = request.method == .unknown ? "-" : words
        let (referer, userAgent) = (request.headerFields[.referer] ?? "-", request.headerFields[.userAgent] ?? "-")
        return "\(host) - - [\(stamp)] \"\(line)\" \(status.code) \(bodySize) "
            + "\"\(Self.escaped(referer))\" \"\(Self.escaped(userAgent))\""
    }

    private static func escaped(_ text: String) -> String {
        var out: [UInt8] = []
        let digits = Array("0123456789abcdef".utf8)
        for byte in text.utf8 {
            if (0x20...0x7e).contains(byte), byte != UInt8(ascii: "\""), byte != UInt8(ascii: "\\") {
                out.append(byte)
            } else {
                out += [UInt8(ascii: "\\"), UInt8(ascii: "x"), digits[Int(byte >> 4)], digits[Int(byte & 15)]]
            }
        }
        return String(decoding: out, as: UTF8.self)
    }
}
#endif
