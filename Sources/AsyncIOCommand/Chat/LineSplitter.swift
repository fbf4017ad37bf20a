/// Turns what a person's program sends into lines: bytes in, lines out, whatever the pieces.
///
/// Knows `nc` (LF), telnet (CR LF, or CR NUL; RFC 854) and pasted text (CR). Telnet's commands are taken out, and
/// none is answered: the client then stays in its plain mode. A line that is too long is reported once, where it
/// ends; what is kept of it meanwhile is bounded.
struct LineSplitter {
    enum Event: Equatable {
        /// A line without its end. The bytes are as they came, and may be no UTF-8.
        case line([UInt8])
        /// A line had more bytes than allowed; it is dropped.
        case tooLong
        /// Telnet says that the person has pressed Ctrl-C, or that there is no more (RFC 854 IP, RFC 1184 EOF).
        case interrupt
    }

    private enum State {
        case text
        /// A CR was seen: a following LF or NUL belongs to it.
        case afterReturn
        /// Telnet's escape, 255, was seen.
        case command
        /// A negotiation (WILL, WONT, DO, DONT) was seen; its option follows.
        case option
        /// Inside of a sub-negotiation, until 255 240.
        case subnegotiation, subnegotiationCommand
    }

    let limit: Int
    /// Whether lines from this client end in CR, so that answers better do as well.
    private(set) var endsInReturn = false
    private var state = State.text
    private var line: [UInt8] = []
    private var isTooLong = false

    init(limit: Int) { self.limit = limit }

    /// Takes bytes; returns what became complete.
    mutating func feed(_ bytes: [UInt8]) -> [Event] {
        var events: [Event] = []
        for byte in bytes {
            if let event = take(byte) { events.append(event) }
        }
        return events
    }

    /// The end of the client's data: what is left counts as a line.
    mutating func finish() -> [Event] {
        line.isEmpty && !isTooLong ? [] : [endLine()]
    }

    private mutating func take(_ byte: UInt8) -> Event? {
        switch state {
        case .text:
            return takeText(byte)
        case .afterReturn:
            state = .text
            return byte == Byte.newline || byte == 0 ? nil : takeText(byte)
        case .command:
            return takeCommand(byte)
        case .option:
            state = .text
        case .subnegotiation:
            if byte == Telnet.escape { state = .subnegotiationCommand }
        case .subnegotiationCommand:
            state = byte == Telnet.subnegotiationEnd ? .text : .subnegotiation
        }
        return nil
    }

    private mutating func takeText(_ byte: UInt8) -> Event? {
        switch byte {
        case Byte.newline:
            return endLine()
        case Byte.carriageReturn:
            endsInReturn = true
            state = .afterReturn
            return endLine()
        case Telnet.escape:
            state = .command
        default:
            if line.count < limit { line.append(byte) } else { isTooLong = true }
        }
        return nil
    }

    private mutating func takeCommand(_ byte: UInt8) -> Event? {
        state = .text
        switch byte {
        case Telnet.negotiations: state = .option
        case Telnet.subnegotiation: state = .subnegotiation
        case Telnet.interrupt, Telnet.endOfFile: return .interrupt
        // All others have two bytes. A doubled 255 stands for itself, which is no UTF-8: nothing is lost.
        default: break
        }
        return nil
    }

    private mutating func endLine() -> Event {
        defer {
            line.removeAll(keepingCapacity: true)
            isTooLong = false
        }
        return isTooLong ? .tooLong : .line(line)
    }

    private enum Byte {
        static let newline: UInt8 = 0x0a
        static let carriageReturn: UInt8 = 0x0d
    }

    /// The bytes of RFC 854 that matter here.
    private enum Telnet {
        static let escape: UInt8 = 255
        static let negotiations: ClosedRange<UInt8> = 251...254
        static let subnegotiation: UInt8 = 250
        static let interrupt: UInt8 = 244
        static let subnegotiationEnd: UInt8 = 240
        static let endOfFile: UInt8 = 236
    }
}
