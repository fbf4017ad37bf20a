package import AsyncIO
import Glibc

/// What a probe tells the test that started it: one line at a time, written at once, since it may be killed.
package enum Report {
    package static func line(_ text: String) {
        let bytes = Array((text + "\n").utf8)
        _ = unsafe bytes.withUnsafeBytes { unsafe write(1, $0.baseAddress, $0.count) }
    }

    /// Says where the caller runs.
    package static func thread(_ what: String, _ isHome: Bool) { line("\(what): same thread \(isHome)") }

    package static let errorHandler = EventLoop.ErrorHandler { line("unhandled: \($0.context): \($0.error)") }
}

/// Whether the caller runs on the process's first thread.
package var isOnMainThread: Bool { SystemThread.isMain }
