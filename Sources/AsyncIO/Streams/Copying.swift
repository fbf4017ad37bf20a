import AsyncIOKernel
public import AsyncIOLoop
import SystemPackage

/// Copies everything that comes from one stream to another, up to the end of the data, and returns the number of bytes.
///
/// Holds at most what one read gives, in a flood at most 1 MiB in a pipe: while the destination takes nothing, nothing
/// is read, and while nothing comes, no memory is held. Between sockets of one loop the loop's driver passes small
/// messages on by itself, and floods go through a pipe of the kernel's (splice(2)). `counter`, if there is one, counts
/// along, for whoever looks on.
///
/// Meanwhile the copy is the source's reader and the destination's writer, also while nothing comes: another one gets
/// `EBUSY`. Give each copy a counter of its own. Neither stream is closed, and writing is not finished either. If it is
/// cancelled, or one side fails, what was read and not yet written is lost: both streams are then only good for
/// closing.
@discardableResult
public func copy<Source: ByteStream, Destination: ByteStream>(
    from source: Source, to destination: Destination, counting counter: ByteCounter = ByteCounter()
) async throws -> Int {
    let before = counter.count
    if let source = source as? any DescriptorStream, let destination = destination as? any DescriptorStream {
        var pump = KernelPump(from: source.core, to: destination.core, counting: counter)
        try await pump.run()
    } else {
        while let bytes = try await source.read(upTo: 65_536) {
            try await destination.write(bytes)
            counter.add(bytes.count)
        }
    }
    return counter.count - before
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
/// `counting` counts along, there and back, for whoever looks on. Throws the first error; ``IOError`` with `ETIMEDOUT`
/// if nothing came from either stream, or went to it, for the idle timeout; it may take up to a quarter longer.
/// What goes to a stream is seen in steps of up to 64 KiB.
@discardableResult
public func copyBidirectional<First: ByteStream, Second: ByteStream>(
    _ first: First, _ second: Second, idleTimeout: Duration? = nil,
    counting counters: (forward: ByteCounter, backward: ByteCounter) = (ByteCounter(), ByteCounter())
) async throws -> BidirectionalCount {
    do {
        return try await withThrowingTaskGroup(of: Direction.self) { group in
            group.addTask(name: "copy forward") { .forward(try await pump(from: first, to: second, counters.forward)) }
            group.addTask(name: "copy backward") {
                .backward(try await pump(from: second, to: first, counters.backward))
            }
            if let idleTimeout {
                group.addTask(name: "idle timeout") {
                    try await waitForSilence(idleTimeout) { counters.forward.count &+ counters.backward.count }
                    return .idle
                }
            }
            var (forward, backward): (Int?, Int?)
            while forward == nil || backward == nil, let direction = try await group.next() {
                switch direction {
                case .forward(let count): forward = count
                case .backward(let count): backward = count
                case .idle:
                    throw IOError(
                        .timedOut, operation: "copy", subject: "\(first), \(second)",
                        detail: "nothing went either way for \(idleTimeout ?? .zero)")
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

private enum Direction { case forward(Int), backward(Int), idle }

/// One direction, to its end.
private func pump(
    from source: some ByteStream, to destination: some ByteStream, _ counter: ByteCounter
) async throws -> Int {
    let count = try await copy(from: source, to: destination, counting: counter)
    do { try await destination.closeWriting() } catch let error as IOError
        where error.code == .socketNotConnected || error.code == .brokenPipe
    {
        // It has gone meanwhile, and has had everything: the other direction hears of it, if there is anything to hear.
    }
    return count
}

/// Suspends until a count has not changed for so long, on the loop's time. Looks four times as often.
private func waitForSilence(_ timeout: Duration, _ count: () -> Int) async throws {
    let loop = EventLoop.current
    var now: Instant { loop?.now ?? .monotonicNow }
    var (lastCount, lastChange) = (count(), now)
    while lastChange.duration(to: now) < timeout {
        if let loop { try await loop.sleep(for: timeout / 4) } else { try await Task.sleep(for: timeout / 4) }
        guard count() != lastCount else { continue }
        (lastCount, lastChange) = (count(), now)
    }
}
