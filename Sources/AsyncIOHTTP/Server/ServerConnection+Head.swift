#if HTTP
import AsyncIO
import HTTPTypes

/// How the end of a response's body is found (RFC 9112 section 6.3).
enum ResponseFraming: Equatable {
    /// It can have none: 1xx, 204, 304.
    case none
    case length(Int)
    case chunked
    /// With the connection's end.
    case untilEnd
}

extension ServerConnection {
    /// Puts the head of a response into the output.
    ///
    /// What the fields say of the message's framing is dropped: that follows from the body. What would end a field
    /// early cannot be in one, since swift-http-types replaces it, if nobody has refused it before.
    func putHead(
        of response: HTTPServer.Response, _ framing: ResponseFraming, isLast: Bool, keepsLength: Bool = false
    ) {
        exchange.responseHasBegun = true
        putStatus(response.status)
        var hasDate = false
        var hasServer = false
        var hasUpgrade = false
        for field in response.headerFields {
            let name = field.name.canonicalName
            switch name.utf8.count {
            case 4 where name == "date": hasDate = true
            case 6 where name == "server": hasServer = true
            case 7 where name == "upgrade": hasUpgrade = true
            case 10 where name == "connection" && response.takeover == nil: continue
            case 14 where name == "content-length" && !keepsLength: continue
            case 17 where name == "transfer-encoding": continue
            default: break
            }
            put(field)
        }
        if !hasDate { output += site.dateLine(at: site.loop.now) }
        if !hasServer { output += site.nameLine }
        switch framing {
        case .none, .untilEnd: break
        case .length(let length):
            put("Content-Length: ")
            put(length)
            put("\r\n")
        case .chunked: put("Transfer-Encoding: chunked\r\n")
        }
        if response.takeover == nil {
            // What is told of other protocols is meant for this connection alone (RFC 9110 section 7.8).
            if isLast {
                put(hasUpgrade ? "Connection: close, Upgrade\r\n" : "Connection: close\r\n")
            } else if exchange.version == .http1_0 {
                put(hasUpgrade ? "Connection: keep-alive, Upgrade\r\n" : "Connection: keep-alive\r\n")
            } else if hasUpgrade {
                put("Connection: Upgrade\r\n")
            }
        }
        put("\r\n")
    }

    /// Puts an interim response into the output (RFC 9110 section 15.2).
    func putInterim(_ status: HTTPResponse.Status, _ fields: HTTPFields) {
        putStatus(status)
        for field in fields { put(field) }
        put("\r\n")
    }

    func put(_ field: HTTPField) {
        output.append(contentsOf: field.name.rawName.utf8)
        put(": ")
        // The bytes are copied before this returns.
        unsafe field.withUnsafeBytesOfValue { unsafe output.append(contentsOf: $0) }
        put("\r\n")
    }

    private func putStatus(_ status: HTTPResponse.Status) {
        if status.code == 200 { return put("HTTP/1.1 200 OK\r\n") }
        put("HTTP/1.1 ")
        put(status.code)
        put(" ")
        output.append(contentsOf: status.reasonPhrase.utf8)
        put("\r\n")
    }

    @inline(__always)
    func put(_ text: StaticString) {
        // A literal's bytes live as long as the program.
        unsafe output.append(contentsOf: UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
    }

    /// Puts a number that is not negative, in decimal.
    private func put(_ number: Int) {
        if number >= 10 { put(number / 10) }
        output.append(0x30 + UInt8(truncatingIfNeeded: number % 10))
    }

    /// Puts a number that is not negative, in hexadecimal.
    func putHexadecimal(_ number: Int) {
        if number >= 16 { putHexadecimal(number >> 4) }
        let digit = UInt8(truncatingIfNeeded: number & 15)
        output.append(digit < 10 ? 0x30 + digit : 0x57 + digit)
    }
}
#endif
