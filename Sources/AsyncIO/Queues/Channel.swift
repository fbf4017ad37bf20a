/// Two ends of a queue: items go in at a ``Sender`` and come out at a ``Receiver``, and each end notices when nobody
/// holds the other one any more.
///
/// ```swift
/// let (sender, receiver) = Channel<Line>.make(capacity: 16)
/// Task { try await sender.send(line) }         // the channel finishes when the last sender is let go
/// for try await line in receiver { … }         // and ends here then
/// ```
///
/// As many tasks as you like may share an end. When the last reference to the sender goes, the channel finishes: what
/// is inside can still be received. When the last reference to the receiver goes, what is inside is dropped, and
/// whoever sends gets ``ClosedError`` — also those who wait then.
///
/// Swift lets go of a variable after its last use. An end that is to stay open although nobody uses it any more is kept
/// with `withExtendedLifetime(_:_:)`, or in a property.
///
/// tokio's `mpsc`, trio's memory channels.
public enum Channel<Element: Sendable> {
    /// Makes a channel: its two ends.
    ///
    /// - Parameters:
    ///   - type: What goes through it.
    ///   - capacity: How many items it holds before `send` suspends, at least one; or `.unbounded`.
    ///   - name: What it is called in errors and in the task tree.
    ///   - sharing: Who may use it.
    /// - Returns: The end where items go in, and the end where they come out.
    public static func make(
        of type: Element.Type = Element.self, capacity: QueueCapacity, name: String = "channel",
        sharing: Sharing = .acrossThreads
    ) -> (sender: Sender, receiver: Receiver) {
        let queue = AsyncQueue<Element>(capacity: capacity, name: name, sharing: sharing)
        return (Sender(queue), Receiver(queue))
    }

    /// The end of a channel where items go in. The channel finishes when the last reference to it goes.
    public final class Sender: Sendable, CustomStringConvertible {
        @usableFromInline let queue: AsyncQueue<Element>

        init(_ queue: AsyncQueue<Element>) {
            self.queue = queue
        }

        deinit { queue.finish() }

        /// Sends an item, and suspends while there is no room.
        ///
        /// Throws ``ClosedError`` once the channel has finished or nobody can receive any more, also to those who wait
        /// then, and `CancellationError`; the item was not sent in both cases.
        @inlinable
        public func send(_ item: Element) async throws { try await queue.put(item) }

        /// Sends an item if there is room now. False if the channel is full or closed. Never suspends.
        @discardableResult
        public func trySend(_ item: Element) -> Bool { queue.tryPut(item) }

        /// Takes no more items, from whatever sender. What is inside can still be received.
        public func finish() { queue.finish() }

        /// Whether the channel takes no more items: it has finished, or nobody can receive any more.
        public var isClosed: Bool { queue.isClosed }
        /// What the channel is called.
        public var name: String { queue.name }
        /// What has happened so far, and who waits.
        public var statistics: QueueStatistics { queue.statistics }
        /// The tasks that wait for room or for an item.
        public var waitingTasks: [TaskID] { queue.waitingTasks }
        /// `Channel.Sender(lines, 3 of 16)`.
        public var description: String { "Channel.Sender(\(queue.content))" }
    }

    /// The end of a channel where items come out. When the last reference to it goes, what is inside is dropped.
    ///
    /// Several tasks that receive share the items among them: each item goes to one.
    public final class Receiver: Sendable, CustomStringConvertible {
        @usableFromInline let queue: AsyncQueue<Element>

        init(_ queue: AsyncQueue<Element>) {
            self.queue = queue
        }

        deinit { queue.cancel() }

        /// Takes the next item, and suspends until there is one.
        ///
        /// Throws ``ClosedError`` when the channel has finished and is empty, and `CancellationError`; no item was
        /// taken then.
        @inlinable
        public func receive() async throws -> Element { try await queue.get() }

        /// Takes the next item, and suspends until there is one; nil when the channel has finished and is empty.
        ///
        /// Throws `CancellationError`, and ``ClosedError`` after ``cancel()``.
        @inlinable
        public func next() async throws -> Element? { try await queue.next() }

        /// Takes the next item if there is one now. Never suspends.
        @inlinable
        public func tryReceive() -> Element? { queue.tryGet() }

        /// Takes what is there, at least one and at most so many items, and suspends until there is one.
        ///
        /// An empty array when the channel has finished and is empty.
        public func receive(upTo limit: Int) async throws -> [Element] { try await queue.get(upTo: limit) }

        /// Lets nobody send any more. What is inside can still be received. tokio's `close`.
        public func finish() { queue.finish() }

        /// Lets nobody send any more, and drops what is inside. Everybody who waits gets ``ClosedError``.
        public func cancel() { queue.cancel() }

        /// How many items are inside.
        public var count: Int { queue.count }
        /// Whether the channel takes no more items.
        public var isClosed: Bool { queue.isClosed }
        /// What the channel is called.
        public var name: String { queue.name }
        /// What has happened so far, and who waits.
        public var statistics: QueueStatistics { queue.statistics }
        /// The tasks that wait for room or for an item.
        public var waitingTasks: [TaskID] { queue.waitingTasks }
        /// `Channel.Receiver(lines, 3 of 16)`.
        public var description: String { "Channel.Receiver(\(queue.content))" }
    }
}

extension Channel.Receiver: AsyncSequence {
    /// Receives until the channel has finished. Several iterators share the items among them.
    public struct AsyncIterator: AsyncIteratorProtocol {
        @usableFromInline let receiver: Channel.Receiver

        @usableFromInline
        init(_ receiver: Channel.Receiver) { self.receiver = receiver }

        /// See ``Channel/Receiver/next()``.
        @inlinable
        public func next() async throws -> Element? { try await receiver.next() }

        /// See ``Channel/Receiver/next()``.
        @inlinable
        public func next(isolation actor: isolated (any Actor)?) async throws -> Element? {
            try await receiver.next()
        }
    }

    /// An iterator that receives.
    public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(self) }
}

extension AsyncQueue {
    /// `lines, 3 of 16`.
    var content: String { String(description.dropFirst("AsyncQueue(".count).dropLast()) }
}
