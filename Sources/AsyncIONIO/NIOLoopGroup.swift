#if NIO
public import AsyncIO
import AsyncIOLoop
public import NIOCore

/// A group of our loops, as SwiftNIO sees it: `group.nio`.
///
/// Hands out the loops in turn. It is not SwiftNIO's to shut down, as little as its loops are; see ``NIOLoop``.
public final class NIOLoopGroup: EventLoopGroup {
    /// The group that owns the loops.
    public let group: LoopGroup

    fileprivate init(_ group: LoopGroup) { self.group = group }

    /// The next loop in turn.
    public func next() -> any NIOCore.EventLoop { group.next().nio }

    /// The loop that the caller runs on, if it is one of the group's; else the next in turn.
    public func any() -> any NIOCore.EventLoop {
        guard let current = AsyncIOLoop.EventLoop.current, group.loops.contains(where: { $0 === current }) else {
            return next()
        }
        return current.nio
    }

    /// All loops of the group, in its order.
    public func makeIterator() -> EventLoopIterator { EventLoopIterator(group.loops.map(\.nio)) }

    /// Does nothing, and says so with `EventLoopError.unsupportedOperation`: see `LoopGroup.shutdown(drain:grace:)`.
    public func shutdownGracefully(queue: some Any, _ callback: @escaping @Sendable ((any Error)?) -> Void) {
        next().execute { callback(NIOCore.EventLoopError.unsupportedOperation) }
    }
}

extension LoopGroup {
    /// The group as SwiftNIO sees it.
    public var nio: NIOLoopGroup { NIOLoopGroup(self) }
}
#endif
