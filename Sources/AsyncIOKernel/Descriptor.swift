import Glibc
import SystemPackage

/// An open file descriptor with one owner, closed exactly once.
///
/// Not copyable: whoever holds it closes it, by ``close()`` or by letting it go. Every descriptor that this package
/// opens is close-on-exec, so that no child process keeps a connection open behind our back.
public struct Descriptor: ~Copyable, Sendable {
    /// The number, borrowed: valid while this value lives.
    public let number: CInt

    /// Takes over a descriptor that nobody else will close.
    public init(owning number: CInt) {
        self.number = number
    }

    deinit {
        // close(2) gives the number free even when it reports EINTR or EIO, so it is never repeated.
        _ = SystemCall.close(number)
    }

    /// Closes the descriptor now. Does not suspend.
    ///
    /// What a delayed write reports here is lost: callers that care about it sync before they close.
    public consuming func close() {}

    /// Gives the ownership away: the caller closes the number from here on.
    public consuming func release() -> CInt {
        let number = self.number
        discard self
        return number
    }
}

extension Descriptor {
    /// Fails with `EBADF` now rather than acting on somebody else's descriptor later.
    package static func isOpen(_ number: CInt) -> Bool {
        SystemCall.standIn?.isOpen(number) ?? (SystemCall.result { fcntl(number, F_GETFD) } >= 0)
    }

    /// Lets calls on a descriptor return at once. Needed for descriptors that others have opened.
    package static func setNonBlocking(_ number: CInt) throws(IOError) {
        try changeFlags(number) { $0 | O_NONBLOCK }
    }

    /// Lets calls on a descriptor wait, as programs expect it of what they are given.
    package static func setBlocking(_ number: CInt) throws(IOError) {
        try changeFlags(number) { $0 & ~O_NONBLOCK }
    }

    private static func changeFlags(_ number: CInt, _ change: (CInt) -> CInt) throws(IOError) {
        if SystemCall.isSimulated { return }
        let flags = try SystemCall.call("fcntl", "\(number)") { fcntl(number, F_GETFL) }
        let wanted = change(CInt(truncatingIfNeeded: flags))
        try SystemCall.call("fcntl", "\(number)") { fcntl(number, F_SETFL, wanted) }
    }

    /// Gives the numbers 0, 1 and 2 to `/dev/null` if the process was started without them: the next socket would get
    /// them, and whoever writes a message to standard error would write it to a peer.
    package static func fillStandardNumbers() { _ = standardNumbersAreFilled }

    private static let standardNumbersAreFilled: Void = {
        for number in 0...2 where !isOpen(CInt(number)) {
            // The lowest free number is this one: those below are open.
            _ = SystemCall.result { unsafe open("/dev/null", O_RDWR) }
        }
    }()
}
