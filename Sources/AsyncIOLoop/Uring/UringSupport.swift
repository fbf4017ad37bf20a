import AsyncIOKernel
import CAsyncIO
import Glibc
import SystemPackage

/// Whether this process may use io_uring(7), found out once.
///
/// Containers forbid it (seccomp(2): Docker since 25, gVisor), administrators switch it off
/// (`kernel.io_uring_disabled`), old kernels lack parts of it, a normal user may be allowed too little locked memory.
/// Some of that shows when a ring is made, some when it is entered first, and some in wrong results; so a small ring
/// does, and is asked, what the driver relies on.
enum UringSupport {
    /// Why not; nil if it may be used.
    static let refusal: IOError? = {
        do throws(IOError) {
            try examine()
            return nil
        } catch {
            return error
        }
    }()

    /// The reason in words.
    static func explain(_ error: IOError) -> String {
        switch error.code {
        case .notPermitted, .permissionDenied:
            "forbidden here, by a container's seccomp filter or by the sysctl kernel.io_uring_disabled"
        case .noFunction: "not part of this kernel, or hidden by a seccomp filter"
        case .noMemory: "too little memory may be locked; raise it with ulimit -l"
        case .notSupported, .invalidArgument: "this kernel's lacks what is needed; Linux 6.1 has it"
        default: "\(error)"
        }
    }

    private static func examine() throws(IOError) {
        let ring = try Ring(submissions: 8, completions: 16)
        defer { ring.close() }
        guard ring.setup == .deferred else {
            throw IOError(.notSupported, operation: "io_uring_setup", subject: "deferred task work")
        }
        try ring.enable()
        let buffers = try ReceiveBuffers.best(for: UringDriver.Layout(), ring: ring)
        try examineReceive(ring, buffers)
    }

    /// Two messages have to come as they were sent, one behind the other.
    private static func examineReceive(_ ring: Ring, _ buffers: ReceiveBuffers) throws(IOError) {
        var ends: [CInt] = [-1, -1]
        let kind = CInt(SOCK_STREAM.rawValue) | CInt(CASYNCIO_SOCK_CLOEXEC) | CInt(CASYNCIO_SOCK_NONBLOCK)
        try SystemCall.call("socketpair") { unsafe socketpair(AF_UNIX, kind, 0, &ends) }
        let left = Descriptor(owning: ends[0])
        let right = Descriptor(owning: ends[1])
        var entry = casyncio_submission.receive(right.number)
        entry.user_data = 1
        ring.submit(entry)
        for message in [[1, 2, 3], [4, 5]] as [[UInt8]] {
            let sent = unsafe message.withUnsafeBytes {
                unsafe SystemCall.send(left.number, $0.baseAddress, $0.count)
            }
            guard sent == message.count else { throw failed("sending", sent) }
            let completion = try next(ring)
            guard completion.hasMore, let id = completion.buffer else {
                throw failed("receiving", Int(completion.result))
            }
            let bytes = unsafe buffers.take(id, Int(completion.result), isLast: !completion.leavesBuffer)
            guard unsafe bytes.elementsEqual(message) else { throw failed("receiving", Int(completion.result)) }
            if !completion.leavesBuffer { buffers.giveBack(id) }
        }
        // The end of the entry, too, since the kernel holds the buffers until then.
        ring.submit(.cancelAll)
        while try next(ring).hasMore {}
    }

    /// Whether a receive that stays tells everything. On kernels before the spring of 2026 it tells the data of a peer
    /// that breaks off right after them, and not the break (CVE-2026-23473): there, connections are watched instead.
    static let mayFeed: Bool = {
        do throws(IOError) { return try tellsBreaks(after: true) ? try tellsBreaks(after: false) : false } catch {
            return false
        }
    }()

    private static func tellsBreaks(after isArmed: Bool) throws(IOError) -> Bool {
        let ring = try Ring(submissions: 8, completions: 16, setups: [.deferred])
        defer { ring.close() }
        try ring.enable()
        let buffers = try ReceiveBuffers.best(for: UringDriver.Layout(), ring: ring)
        defer { withExtendedLifetime(buffers) {} }
        let kind = CInt(SOCK_STREAM.rawValue) | CInt(CASYNCIO_SOCK_CLOEXEC)
        let listener = Descriptor(owning: CInt(try SystemCall.call("socket") { socket(AF_INET, kind, 0) }))
        let sender = Descriptor(owning: CInt(try SystemCall.call("socket") { socket(AF_INET, kind, 0) }))
        try SystemCall.call("bind") {
            unsafe SocketAddress.loopback(port: 0).withSockaddr { unsafe bind(listener.number, $0, $1) }
        }
        try SystemCall.call("listen") { listen(listener.number, 1) }
        let (found, bytes) = SystemCall.localAddress(listener.number)
        guard found >= 0, let address = SocketAddress(sockaddr: bytes) else { return false }
        try SystemCall.call("connect") {
            unsafe address.withSockaddr { unsafe connect(sender.number, $0, $1) }
        }
        let receiver = Descriptor(
            owning: CInt(try SystemCall.call("accept") { accept(listener.number, nil, nil) }))
        var entry = casyncio_submission.receive(receiver.number)
        entry.user_data = 1
        ring.submit(entry)
        if isArmed { ring.flush() }
        var byte: UInt8 = 1
        guard unsafe SystemCall.send(sender.number, &byte, 1) == 1 else { return false }
        SystemCall.lingerNoTime(sender.number)
        sender.close()
        let data = try next(ring)
        let end = data.hasMore ? try next(ring) : data
        return !end.hasMore && Int(end.result) == Errno.connectionReset.negated
    }

    private static func next(_ ring: Ring) throws(IOError) -> casyncio_completion {
        // A second is much more than it takes; a filter that swallows calls must not make programs hang.
        for _ in 0..<10 {
            if let completion = ring.next() { return completion }
            let result = ring.enter(awaiting: 1, nanoseconds: 100_000_000)
            guard result >= 0 || Errno(negated: result).isTemporary else { throw failed("entering", result) }
        }
        throw IOError(.notSupported, operation: "io_uring_enter", subject: "a receive that does not end")
    }

    private static func failed(_ what: String, _ result: Int) -> IOError {
        IOError(result < 0 ? Errno(negated: result) : .notSupported, operation: "io_uring_enter", subject: what)
    }
}
