import Glibc
public import SystemPackage

/// A name that has no address, or an address that has no name, as far as anybody could say.
///
/// ``reason`` tells what a program may do about it: ask again later, or never. Prints as one line:
/// `resolve db.exmaple.org: no such name`.
public struct ResolutionError: Error, Hashable, Sendable, CustomStringConvertible {
    /// Why there is no answer.
    public enum Reason: Hashable, Sendable {
        /// What was given cannot be the name of a host, nor an address; nobody was asked.
        case invalidName
        /// Nobody has that name (`EAI_NONAME` of getaddrinfo(3)).
        case noSuchName
        /// The host exists, and has no address of the wanted version (`EAI_NODATA`, `EAI_ADDRFAMILY`).
        case noAddress
        /// The servers did not answer, or said that they cannot at the moment: worth another try (`EAI_AGAIN`).
        case tryAgain
        /// The resolver has taken longer than it may: ``SystemResolver/timeout``.
        case timedOut
        /// The servers refuse, or their answer makes no sense (`EAI_FAIL`).
        case failed
        /// This machine lacks something: `EMFILE`, `ENOMEM`, `EAGAIN` for a thread (`EAI_SYSTEM`).
        case system(Errno)
    }

    /// Why there is no answer.
    public let reason: Reason
    /// What was looked up: a name, or an address. What is not printable in it is escaped, and what is too long cut.
    public let subject: String
    /// What there is to say beside the reason: the remedy, mostly.
    public let detail: String?

    /// Creates an error.
    public init(_ reason: Reason, subject: String, detail: String? = nil) {
        self.reason = reason
        self.subject = subject
        self.detail = detail
    }

    /// Whether the same question may have an answer later: nothing has said that there is none.
    public var isTemporary: Bool {
        switch reason {
        case .tryAgain, .timedOut, .system: true
        case .invalidName, .noSuchName, .noAddress, .failed: false
        }
    }

    /// One line: what was looked up, and why there is no answer.
    public var description: String {
        guard let detail else { return "resolve \(subject): \(reason)" }
        return "resolve \(subject): \(detail)"
    }
}

extension ResolutionError.Reason: CustomStringConvertible {
    /// A few words.
    public var description: String {
        switch self {
        case .invalidName: "not the name of a host"
        case .noSuchName: "no such name"
        case .noAddress: "the host has no address of the wanted version"
        case .tryAgain: "no answer from the name servers for the moment; try again later"
        case .timedOut: "no answer in time"
        case .failed: "the name servers refuse, or their answer makes no sense"
        case .system(let code): "\(code)"
        }
    }
}

extension ResolutionError {
    /// The error for a code of getaddrinfo(3) or getnameinfo(3), and the system's error that comes with `EAI_SYSTEM`.
    init(code: CInt, system: Errno, subject: String) {
        switch code {
        case EAI_NONAME: self.init(.noSuchName, subject: subject)
        case Self.noData, Self.addressFamily, EAI_FAMILY: self.init(.noAddress, subject: subject)
        case EAI_AGAIN: self.init(.tryAgain, subject: subject)
        case EAI_FAIL: self.init(.failed, subject: subject)
        case EAI_MEMORY: self.init(.system(.noMemory), subject: subject)
        case EAI_SYSTEM: self.init(.system(system), subject: subject)
        default:
            let reason = unsafe gai_strerror(code).map { unsafe String(cString: $0) } ?? "code \(code)"
            self.init(.failed, subject: subject, detail: reason)
        }
    }

    /// `EAI_NODATA` and `EAI_ADDRFAMILY`, which <netdb.h> keeps for _GNU_SOURCE: parts of glibc's ABI.
    static let noData: CInt = -5, addressFamily: CInt = -9
}
