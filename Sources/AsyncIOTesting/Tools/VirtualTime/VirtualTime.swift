public import AsyncIO

/// A loop whose time is a test's: what ``withVirtualTime(options:mode:_:)`` hands to its body.
///
/// Only what waits on the loop decides how time goes: its timers, sleeps, deadlines, intervals. `Task.sleep` and plain
/// `Task {}` belong to Swift's own threads, which the clock cannot see; use `loop.sleep`, child tasks and `loop.spawn`.
/// Blocking work (`offload`, files) is done for real, and time stands still meanwhile.
public final class VirtualTime: Sendable, CustomStringConvertible {
    /// The loop that the test runs on.
    public let loop: EventLoop
    let driver: VirtualDriver
    private let start: Instant

    /// How time passes.
    public enum Mode: Sendable {
        /// When nothing else can happen, time jumps to the next timer: hours pass in no time.
        case jumps
        /// Time stands still but for ``VirtualTime/advance(by:)``.
        case onRequest
    }

    init(loop: EventLoop, driver: VirtualDriver) {
        self.loop = loop
        self.driver = driver
        start = driver.now
    }

    /// The loop's time.
    public var now: Instant { driver.now }

    /// The time since the test began.
    public var elapsed: Duration { start.duration(to: driver.now) }

    /// How time passes. May be changed at any moment, from any thread.
    public var mode: Mode {
        get { driver.jumps ? .jumps : .onRequest }
        set { driver.jumps = newValue == .jumps }
    }

    /// Lets a duration pass: everything that is due happens in order, each thing at its own instant, and this returns
    /// at the end of it, when nobody on the loop has anything left to do.
    ///
    /// A duration that is zero or negative is ``waitUntilIdle()``. Throws `CancellationError`; the time may pass
    /// nevertheless.
    public func advance(by duration: Duration) async throws { try await advance(to: now.advanced(by: duration)) }

    /// Lets time pass until an instant, as ``advance(by:)``.
    public func advance(to instant: Instant) async throws {
        let idle = AsyncEvent(name: "virtual time")
        driver.setWhenIdle(idle, at: max(instant, now))
        do { try await idle.wait() } catch {
            driver.forget(idle)
            throw error
        }
    }

    /// Suspends until everything else on the loop waits: for a time, for another task, or for this test. Time does not
    /// pass; blocking work that is under way is waited for.
    ///
    /// What tells a test that the task it has started has come as far as it can, where others would sleep and hope.
    /// Throws `CancellationError`.
    public func waitUntilIdle() async throws { try await advance(to: now) }

    /// `VirtualTime(3600.0 seconds, jumps)`.
    public var description: String { "VirtualTime(\(elapsed), \(mode))" }
}
