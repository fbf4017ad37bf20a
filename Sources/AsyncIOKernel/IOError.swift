public import SystemPackage

/// An input or output operation that the operating system refused, or that this package refused on its behalf.
///
/// Says what failed (``operation``), on what (``subject``) and why (``code``), and prints all three:
/// `connect 10.0.0.1:80: Connection refused`.
public struct IOError: Error, Hashable, Sendable, CustomStringConvertible {
    /// The system's error number.
    public let code: Errno
    /// What was tried, in the words of the system call or the method: `connect`, `bind`, `read`.
    public let operation: String
    /// What it was tried on: an address, a path, a descriptor. Empty if there is nothing to name.
    public let subject: String
    /// What this package adds to the system's own words: the remedy, mostly.
    public let detail: String?

    /// Creates an error from its parts.
    public init(_ code: Errno, operation: String, subject: String = "", detail: String? = nil) {
        self.code = code
        self.operation = operation
        self.subject = subject
        self.detail = detail
    }

    /// One line: operation, subject, reason, and the remedy where there is one.
    public var description: String {
        let what = subject.isEmpty ? operation : "\(operation) \(subject)"
        guard let detail else { return "\(what): \(code)" }
        return "\(what): \(detail)"
    }

    /// The same error, told about a subject that the place of the failure did not know.
    package func about(_ subject: String) -> IOError {
        IOError(code, operation: operation, subject: subject, detail: detail)
    }
}
