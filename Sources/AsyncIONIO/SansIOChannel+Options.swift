#if NIO
package import NIOCore

extension SansIOChannel {
    package func setOption<Option: ChannelOption>(_ option: Option, value: Option.Value) -> EventLoopFuture<Void> {
        if eventLoop.inEventLoop { return eventLoop.makeCompletedFuture { try set(option, value) } }
        return eventLoop.submit { try self.set(option, value) }
    }

    package func getOption<Option: ChannelOption>(_ option: Option) -> EventLoopFuture<Option.Value> {
        if eventLoop.inEventLoop { return eventLoop.makeCompletedFuture { try get(option) } }
        return eventLoop.submit { try self.get(option) }
    }

    package var syncOptions: (any NIOSynchronousChannelOptions)? { SynchronousOptions(channel: self) }

    /// The options, for handlers.
    struct SynchronousOptions: NIOSynchronousChannelOptions {
        let channel: SansIOChannel

        func setOption<Option: ChannelOption>(_ option: Option, value: Option.Value) throws {
            try channel.set(option, value)
        }

        func getOption<Option: ChannelOption>(_ option: Option) throws -> Option.Value { try channel.get(option) }
    }

    /// What depends on a socket is the stream's, and is refused here with `ChannelError.operationUnsupported`.
    private func set<Option: ChannelOption>(_ option: Option, _ value: Option.Value) throws {
        guard isOpen else { throw ChannelError.ioOnClosedChannel }
        switch (option, value) {
        case (is ChannelOptions.Types.AutoReadOption, let value as Bool):
            readsByItself = value
            if value { readIfWanted() } else { isReadPending = false }
        case (is ChannelOptions.Types.AllowRemoteHalfClosureOption, let value as Bool): allowsHalfClosure = value
        case (
            is ChannelOptions.Types.WriteBufferWaterMarkOption, let value as ChannelOptions.Types.WriteBufferWaterMark
        ):
            writes.marks = value
            if writes.becomesWritable() { tellWritability() }
        case (is ChannelOptions.Types.AllocatorOption, let value as ByteBufferAllocator): allocator = value
        // How the stream reads is its own affair.
        case (is ChannelOptions.Types.MaxMessagesPerReadOption, _), (is ChannelOptions.Types.WriteSpinOption, _): break
        default: throw ChannelError.operationUnsupported
        }
    }

    private func get<Option: ChannelOption>(_ option: Option) throws -> Option.Value {
        guard isOpen else { throw ChannelError.ioOnClosedChannel }
        let value: Any? =
            switch option {
            case is ChannelOptions.Types.AutoReadOption: readsByItself
            case is ChannelOptions.Types.AllowRemoteHalfClosureOption: allowsHalfClosure
            case is ChannelOptions.Types.WriteBufferWaterMarkOption: writes.marks
            case is ChannelOptions.Types.BufferedWritableBytesOption: writes.count
            case is ChannelOptions.Types.AllocatorOption: allocator
            case is ChannelOptions.Types.MaxMessagesPerReadOption, is ChannelOptions.Types.WriteSpinOption: UInt(1)
            default: nil
            }
        guard let value = value as? Option.Value else { throw ChannelError.operationUnsupported }
        return value
    }
}
#endif
