import AsyncIOKernel

/// What the library has to say that is no error: which driver it fell back to, for example.
extension EventLoop {
    /// Has the library's notices brought to a closure instead of standard error: one line each, without its end. For
    /// the whole process, from whatever thread; the last one who asks gets them.
    ///
    /// To hear those that a loop says when it is made, ask before.
    public static func onNotice(_ handler: @escaping @Sendable (String) -> Void) {
        Notices.handler.withLock { $0 = handler }
    }
}

enum Notices {
    fileprivate static let handler = Locked<(@Sendable (String) -> Void)?>(nil)

    static func say(_ line: String) {
        if let handler = handler.withLock({ $0 }) { handler(line) } else { StandardError.write("asyncio: \(line)") }
    }
}
