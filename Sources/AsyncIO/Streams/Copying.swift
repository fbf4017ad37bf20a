import AsyncIOKernel
import AsyncIOLoop
import Synchronization
import SystemPackage

/// Copies everything that comes from one stream to another, up to the end of the data, and returns the number of bytes.
///
/// Holds at most what one read gives: while the destination takes nothing, nothing is read, and while nothing comes, no
/// memory is held. Neither stream is closed, and writing is not finished either. If it is cancelled, or one side fails,
/// what was read and not yet written is lost: both streams are then only good for closing.
public func copy<Source: ByteStream, Destination: ByteStream>(
    from source: Source, to destination: Destination
) async throws -> Int {
    try await copy(from: source, to: destination) { _ in }
}

/// Tells of progress after each step.
private func copy(
    from source: some ByteStream, to destination: some ByteStream, progress: (Int) -> Void
) async throws -> Int {
    if let source = source as? any DescriptorStream, let destination = destination as? any DescriptorStream {
        var pump = KernelPump(from: source.core, to: destination.core)
        try await pump.run(progress: progress)
        return pump.count
    }
    var count = 0
    while let bytes = try await source.read(upTo: 65_536) {
        try await destination.write(bytes)
        count += bytes.count
        progress(bytes.count)
    }
    return count
}

/// How much went each way in ``copyBidirectional(_:_:idleTimeout:)``.
public struct BidirectionalCount: Hashable, Sendable {
    /// Bytes from the first stream to the second.
    public var forward: Int
    /// Bytes from the second stream to the first.
    public var backward: Int

    /// Creates a count.
    public init(forward: Int, backward: Int) {
        self.forward = forward
        self.backward = backward
    }
}

/// Copies everything between two streams, both ways, until both have ended: the heart of a proxy.
///
/// When the data of one stream ends, writing to the other one is finished (half-close), and the other direction goes
/// on. If one direction fails, or the task is cancelled, or nothing has come for so long, the other direction is
/// cancelled and both streams are broken off, so that nobody takes a broken conversation for a finished one. Streams
/// that have ended well are not closed.
///
/// Throws the first error; ``IOError`` with `ETIMEDOUT` if nothing came from either stream, or went to it, for the idle
/// timeout.
public func copyBidirectional<First: ByteStream, Second: ByteStream>(
    _ first: First, _ second: Second, idleTimeout: Duration? = nil
) async throws -> BidirectionalCount {
    let activity = Activity()
    do {
        return try await withThrowingTaskGroup(of: Direction.self) { group in
            group.addTask(name: "copy forward") { .forward(try await pump(from: first, to: second, activity)) }
            group.addTask(name: "copy backward") { .backward(try await pump(from: second, to: first, activity)) }
            if let idleTimeout {
                group.addTask(name: "idle timeout") { .idle(try await activity.waitForSilence(idleTimeout)) }
            }
            var (forward, backward): (Int?, Int?)
            while forward == nil || backward == nil, let direction = try await group.next() {
                switch direction {
                case .forward(let count): forward = count
                case .backward(let count): backward = count
                case .idle(let timeout):
                    throw IOError(
                        .timedOut, operation: "copy", subject: "\(first), \(second)",
                        detail: "nothing went either way for \(timeout)")
                }
            }
            group.cancelAll()
            return BidirectionalCount(forward: forward ?? 0, backward: backward ?? 0)
        }
    } catch {
        first.abort()
        second.abort()
        throw error
    }
}

private enum Direction { case forward(Int), backward(Int), idle(Duration) }

/// One direction, to its end.
private func pump(
    from source: some ByteStream, to destination: some ByteStream, _ activity: Activity
) async throws -> Int {
    let count = try await copy(from: source, to: destination) { _ in activity.note() }
    do { try await destination.closeWriting() } catch let error as IOError
        where error.code == .socketNotConnected || error.code == .brokenPipe
    {
        // It has gone meanwhile, and has had everything: the other direction hears of it, if there is anything to hear.
    }
    return count
}

/// When something last went through, on the loop's time.
private final class Activity: Sendable {
    private let loop = EventLoop.current
    private let last: Atomic<Int64>

    init() {
        last = Atomic((EventLoop.current?.now ?? .monotonicNow).nanoseconds)
    }

    private var now: Instant { loop?.now ?? .monotonicNow }

    func note() { last.store(now.nanoseconds, ordering: .relaxed) }

    /// Suspends until nothing has gone through for so long.
    func waitForSilence(_ timeout: Duration) async throws -> Duration {
        while true {
            let end = Instant(nanoseconds: last.load(ordering: .relaxed)).advanced(by: timeout)
            guard now < end else { return timeout }
            if let loop { try await loop.sleep(until: end) } else { try await Task.sleep(for: now.duration(to: end)) }
        }
    }
}
