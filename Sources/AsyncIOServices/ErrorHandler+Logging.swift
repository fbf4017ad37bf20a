#if Services
import AsyncIO
public import AsyncIOLoop
public import Logging

extension EventLoop.ErrorHandler {
    /// Writes errors that nobody awaits to a log, with `task`, `place` (where the task was created) and `error` as
    /// metadata.
    ///
    /// ```swift
    /// try EventLoop.run(options: .init(errorHandler: .logger(Logger(label: "chat")))) { … }
    /// ```
    public static func logger(_ logger: Logger, level: Logger.Level = .error) -> EventLoop.ErrorHandler {
        EventLoop.ErrorHandler { unhandled in
            var metadata: Logger.Metadata = ["task": "\(unhandled.context)", "error": "\(unhandled.error)"]
            if !unhandled.place.isEmpty { metadata["place"] = "\(unhandled.place)" }
            logger.log(level: level, "\(unhandled.context): \(unhandled.error)", metadata: metadata)
        }
    }
}

extension EventLoop {
    /// Writes what the library has to say that is no error to a log, for the whole process: which driver it fell back
    /// to, for example. Call it before the first loop is made.
    public static func logNotices(to logger: Logger, level: Logger.Level = .notice) {
        onNotice { logger.log(level: level, "\($0)") }
    }
}
#endif
