package import AsyncIOKernel
import Glibc
import Synchronization
import SystemPackage

/// Which driver a loop runs on.
///
/// The raw values are the names that ``EventLoop/driverName`` shows.
public enum DriverChoice: String, Sendable, CaseIterable {
    /// What the environment variable `ASYNCIO_DRIVER` names (`epoll`, `io_uring`); without it, io_uring where the
    /// system allows it, else epoll, which is said on standard error, once.
    case auto
    /// epoll(7): on every Linux, in every container.
    case epoll
    /// io_uring(7), Linux 6.1 or later; an error where it is not to be had. System call filters and tracers see less of
    /// what a program does over it.
    case uring = "io_uring"

    /// Where the choice for `auto` is read from.
    static let variable = "ASYNCIO_DRIVER"

    package func make() throws(IOError) -> any Driver {
        switch self {
        case .auto: return try Self.makeBest()
        case .epoll: return try EpollDriver()
        case .uring:
            do { return try UringDriver.checked() } catch {
                throw IOError(
                    error.code, operation: "use", subject: "io_uring",
                    detail: "\(UringSupport.explain(error)); choose the driver auto or epoll")
            }
        }
    }

    private static func makeBest() throws(IOError) -> any Driver {
        let named = unsafe getenv(variable).map { unsafe String(cString: $0) } ?? ""
        if let choice = DriverChoice(rawValue: named), choice != .auto { return try choice.make() }
        guard named.isEmpty || named == auto.rawValue else {
            throw IOError(
                .invalidArgument, operation: "choose", subject: "the driver \(named)",
                detail: "the environment variable \(variable) is auto, epoll or io_uring")
        }
        do { return try UringDriver.checked() } catch {
            sayOnce(error)
            return try EpollDriver()
        }
    }

    private static let hasSaid = Atomic(false)

    private static func sayOnce(_ refusal: IOError) {
        if hasSaid.exchange(true, ordering: .relaxed) { return }
        Notices.say(
            "using epoll, since io_uring is \(UringSupport.explain(refusal)) (\(variable)=epoll hides this)")
    }

    /// The choices that this system allows.
    package static var usable: [DriverChoice] { UringSupport.refusal == nil ? [.epoll, .uring] : [.epoll] }
}

extension UringDriver {
    fileprivate static func checked() throws(IOError) -> UringDriver {
        if let refusal = UringSupport.refusal { throw refusal }
        return try UringDriver()
    }
}
