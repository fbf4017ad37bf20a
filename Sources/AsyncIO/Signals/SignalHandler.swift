public import AsyncIOLoop

extension EventLoop {
    /// Calls back whenever a signal has come, on the loop's thread, as any other callback: not in a signal handler.
    ///
    /// ```swift
    /// let reload = try loop.onSignal(.hangup) { settings.reload() }
    /// ```
    ///
    /// Until ``SignalHandler/cancel()``, or the loop's end. See ``Signals`` for what counts as one signal, for what
    /// becomes of the default action and of Ctrl-C, and for what is refused; ``EventLoopError/closed(_:)`` if the loop
    /// is closed. Does not suspend; from any thread. asyncio's `add_signal_handler`.
    @discardableResult
    public func onSignal(
        _ signal: Signal, ignored: Signals.Ignored = .staysIgnored, file: StaticString = #fileID, line: UInt = #line,
        _ body: @escaping @Sendable () -> Void
    ) throws -> SignalHandler {
        guard !isClosed else { throw EventLoopError.closed(name) }
        let signals = try Signals([signal], ignored: ignored, on: self)
        let handler = SignalHandler(signals)
        spawn(name: "handler of \(signal)", file: file, line: line) {
            // Also when the loop ends.
            defer { signals.close() }
            while try await signals.next() != nil { body() }
        }
        return handler
    }
}

/// A callback for a signal: what ``EventLoop/onSignal(_:ignored:file:line:_:)`` returns.
///
/// Letting go of it does not end it.
public final class SignalHandler: Sendable {
    private let signals: Signals

    init(_ signals: Signals) { self.signals = signals }

    /// Ends it: what was there before is back when this returns. On the loop's thread it is not called any more; from
    /// elsewhere, one call may be under way. Calling it again does nothing.
    public func cancel() { signals.close() }
}
