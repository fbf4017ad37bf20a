/// How a process has ended, and what it has said: what
/// ``Process/run(_:input:output:error:limit:timeout:termination:outputGrace:on:)`` returns.
public struct ProcessResult: Sendable, CustomStringConvertible {
    /// What has run.
    public let command: Command
    /// How it has ended.
    public let status: ExitStatus
    /// Its standard output, as far as it went through a pipe to us.
    public let output: [UInt8]
    /// Its standard error, as far as it went through a pipe to us.
    public let errorOutput: [UInt8]
    /// Whether some of its output was dropped: see ``OutputLimit/Excess``.
    public let isTruncated: Bool

    /// The output as UTF-8; wrong bytes become U+FFFD.
    public var outputText: String { String(decoding: output, as: UTF8.self) }
    /// The error output as UTF-8; wrong bytes become U+FFFD.
    public var errorText: String { String(decoding: errorOutput, as: UTF8.self) }

    /// Returns this result if the process has exited with 0. Throws ``ProcessError`` otherwise.
    @discardableResult
    public func checked() throws -> ProcessResult {
        guard status.isSuccess else { throw ProcessError(self) }
        return self
    }

    /// `ls -l exited with 0 (512 and 0 bytes of output)`.
    public var description: String {
        "\(command) \(status) (\(output.count) and \(errorOutput.count) bytes of output)"
    }
}

/// A process has not exited with 0.
public struct ProcessError: Error, Sendable, CustomStringConvertible {
    /// What has run.
    public let command: Command
    /// How it has ended.
    public let status: ExitStatus
    /// The last lines of its standard error, as far as that went through a pipe to us: at most ten.
    public let lastErrorLines: [String]

    /// Creates the error about a result.
    public init(_ result: ProcessResult) {
        command = result.command
        status = result.status
        lastErrorLines = VisibleText.lastLines(of: result.errorOutput, atMost: 10)
    }

    /// `ls /nowhere: exited with 2: ls: cannot access '/nowhere': No such file or directory`.
    public var description: String {
        let words = lastErrorLines.isEmpty ? "" : ": " + lastErrorLines.joined(separator: "\n")
        return "\(command): \(status)\(words)"
    }
}

/// How much output is kept of a process, for each of its two streams.
public struct OutputLimit: Sendable, Hashable {
    /// What is done about more.
    public enum Excess: Sendable, Hashable {
        /// ``OutputLimitError`` is thrown, with what was there; a run ends its process then.
        case fail
        /// It is read, so that the process can go on, and dropped. ``ProcessResult/isTruncated`` tells.
        case drop
        /// It is read, and what came first is dropped for it: the end of a long log. ``ProcessResult/isTruncated``
        /// tells. Meanwhile up to twice the limit is held.
        case keepLast
    }

    /// The most bytes that are kept.
    public var bytes: Int
    /// What is done about more.
    public var excess: Excess

    /// So many bytes, and what is done about more.
    public init(_ bytes: Int, excess: Excess = .fail) {
        self.bytes = max(bytes, 0)
        self.excess = excess
    }

    /// The last so many bytes; what came before is dropped.
    public static func keepLast(_ bytes: Int) -> OutputLimit { OutputLimit(bytes, excess: .keepLast) }

    /// 16 MiB, and an error beyond.
    public static let standard = OutputLimit(16 << 20)
}

/// A process has written more than it was allowed to.
///
/// One that ``Process/run(_:input:output:error:limit:timeout:termination:outputGrace:on:)`` has started was ended;
/// after ``Process/communicate(_:limit:outputGrace:)`` it goes on.
public struct OutputLimitError: Error, Sendable, CustomStringConvertible {
    /// What has run.
    public let command: Command
    /// The most bytes that a stream may have.
    public let limit: Int
    /// What its standard output had until then.
    public let output: [UInt8]
    /// What its standard error had until then.
    public let errorOutput: [UInt8]

    /// `yes wrote more than 100 bytes: raise the limit, let the rest be dropped, or read it as it comes`.
    public var description: String {
        "\(command) wrote more than \(limit) bytes: raise the limit, let the rest be dropped, or read it as it comes"
    }
}

/// A process has not ended within the time that
/// ``Process/run(_:input:output:error:limit:timeout:termination:outputGrace:on:)`` gave it, and was ended.
public struct ProcessTimeoutError: Error, Sendable, CustomStringConvertible {
    /// What has run.
    public let command: Command
    /// How long it might have taken.
    public let timeout: Duration
    /// How it has ended after all; nil if it was not even started in that time, or goes on, since it refuses our
    /// signals (`EPERM` of kill(2)).
    public let status: ExitStatus?
    /// Its standard output until its end, as far as it went through a pipe to us.
    public var output: [UInt8] = []
    /// Its standard error until its end, as far as it went through a pipe to us.
    public var errorOutput: [UInt8] = []
    /// Whether some of its output was dropped: more than the limit, of whatever kind, is no error of its own here.
    public var isTruncated = false

    /// The output as UTF-8; wrong bytes become U+FFFD.
    public var outputText: String { String(decoding: output, as: UTF8.self) }
    /// The error output as UTF-8; wrong bytes become U+FFFD.
    public var errorText: String { String(decoding: errorOutput, as: UTF8.self) }

    /// `sleep 60: not done within 1.0 seconds, ended by SIGTERM (Terminated)`.
    public var description: String {
        let ending = status.map { ", \($0)" } ?? ""
        let lines = VisibleText.lastLines(of: errorOutput, atMost: 10)
        let words = lines.isEmpty ? "" : ": " + lines.joined(separator: "\n")
        return "\(command): not done within \(timeout)\(ending)\(words)"
    }
}
