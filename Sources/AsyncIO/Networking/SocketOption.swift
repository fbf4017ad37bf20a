import AsyncIOLoop
import Glibc

/// An option of a socket with the value to set, as setsockopt(2) takes it.
struct SocketOption: Sendable {
    let level: CInt
    let name: CInt
    let value: CInt

    static func noDelay(_ isOn: Bool) -> SocketOption {
        SocketOption(level: CInt(IPPROTO_TCP), name: TCP_NODELAY, value: isOn ? 1 : 0)
    }

    /// Zero would mean the kernel's own time.
    static func userTimeout(_ time: Duration?) -> SocketOption {
        let value = time.map { CInt(clamping: max(milliseconds($0), 1)) } ?? 0
        return SocketOption(level: CInt(IPPROTO_TCP), name: TCP_USER_TIMEOUT, value: value)
    }

    static func keepAlive(_ schedule: TCPOptions.KeepAlive?) -> [SocketOption] {
        let tcp = CInt(IPPROTO_TCP)
        let switching = SocketOption(level: SOL_SOCKET, name: SO_KEEPALIVE, value: schedule == nil ? 0 : 1)
        guard let schedule else { return [switching] }
        return [
            switching,
            SocketOption(level: tcp, name: TCP_KEEPIDLE, value: seconds(schedule.idle)),
            SocketOption(level: tcp, name: TCP_KEEPINTVL, value: seconds(schedule.interval)),
            SocketOption(level: tcp, name: TCP_KEEPCNT, value: CInt(clamping: max(schedule.count, 1))),
        ]
    }

    static func seconds(_ duration: Duration) -> CInt { CInt(clamping: max(duration.components.seconds, 1)) }

    private static func milliseconds(_ duration: Duration) -> Int64 {
        let (whole, overflows) = duration.components.seconds.multipliedReportingOverflow(by: 1000)
        return overflows ? .max : whole &+ duration.components.attoseconds / 1_000_000_000_000_000
    }

    /// The number in the bytes of an option; -1 if there is none.
    static func number(_ bytes: [UInt8]) -> CInt {
        guard bytes.count >= MemoryLayout<CInt>.size else { return -1 }
        return unsafe bytes.withUnsafeBytes { unsafe $0.loadUnaligned(as: CInt.self) }
    }

    var bytes: [UInt8] { unsafe withUnsafeBytes(of: value) { unsafe Array($0) } }
}

extension StreamCore {
    /// Sets options of the live socket.
    func set(_ options: [SocketOption]) async throws {
        for option in options {
            let operation = Operation.setOption(
                reader, level: option.level, name: option.name, value: option.bytes)
            try await check(loop.perform(operation), "set option")
        }
    }
}
