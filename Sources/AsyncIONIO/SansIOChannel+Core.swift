#if NIO
package import NIOCore

// What reaches the channel through its pipeline, from the last handler outwards.
extension SansIOChannel {
    package func localAddress0() throws -> NIOCore.SocketAddress {
        guard let localAddress else { throw ChannelError.unknownLocalAddress }
        return localAddress
    }

    package func remoteAddress0() throws -> NIOCore.SocketAddress {
        guard let remoteAddress else { throw ChannelError.operationUnsupported }
        return remoteAddress
    }

    package func register0(promise: EventLoopPromise<Void>?) {
        switch stage {
        case .fresh:
            stage = .registered
            promise?.succeed()
            pipeline.syncOperations.fireChannelRegistered()
        case .registered, .active: promise?.fail(ChannelError.inappropriateOperationForState)
        case .closed: promise?.fail(ChannelError.ioOnClosedChannel)
        }
    }

    package func registerAlreadyConfigured0(promise: EventLoopPromise<Void>?) {
        promise?.fail(ChannelError.operationUnsupported)
    }

    package func bind0(to address: NIOCore.SocketAddress, promise: EventLoopPromise<Void>?) {
        promise?.fail(ChannelError.operationUnsupported)
    }

    package func connect0(to address: NIOCore.SocketAddress, promise: EventLoopPromise<Void>?) {
        promise?.fail(ChannelError.operationUnsupported)
    }

    package func triggerUserOutboundEvent0(_ event: Any, promise: EventLoopPromise<Void>?) {
        promise?.fail(ChannelError.operationUnsupported)
    }

    /// What no handler has taken goes nowhere.
    package func channelRead0(_ data: NIOAny) {}

    package func errorCaught0(error: any Error) {}

    // MARK: Reading and writing

    package func read0() {
        guard isOpen, !isInputClosed else { return }
        isReadPending = true
        if stage == .active { notify() }
    }

    package func write0(_ data: NIOAny, promise: EventLoopPromise<Void>?) {
        guard isOpen else {
            promise?.fail(ChannelError.ioOnClosedChannel)
            return
        }
        guard case .open = output else {
            promise?.fail(ChannelError.outputClosed)
            return
        }
        // Files are for the kernel, and here none is near.
        guard case .byteBuffer(let bytes)? = tryUnwrapData(data, as: IOData.self) else {
            promise?.fail(ChannelError.operationUnsupported)
            return
        }
        if writes.append(bytes, promise) { tellWritability() }
    }

    package func flush0() {
        guard isOpen else { return }
        writes.flush()
        guard stage == .active else { return }
        // For writes of no bytes, which nobody will take.
        if !writes.hasFlushed { keepPromises() }
        if isOpen { notify() }
    }

    // MARK: Ending

    package func close0(error: any Error, mode: CloseMode, promise: EventLoopPromise<Void>?) {
        guard isOpen else {
            promise?.fail(ChannelError.alreadyClosed)
            return
        }
        switch mode {
        case .all: closeAll(error, promise)
        case .input: closeInput(error, promise)
        case .output: closeOutput(promise)
        }
    }

    private func closeInput(_ error: any Error, _ promise: EventLoopPromise<Void>?) {
        if isInputClosed {
            promise?.fail(ChannelError.inputClosed)
            return
        }
        if case .closed = output { return closeAll(error, promise) }
        isInputClosed = true
        promise?.succeed()
        pipeline.syncOperations.fireUserInboundEventTriggered(ChannelEvent.inputClosed)
    }

    /// What is flushed is still sent; what is not, is dropped. If the peer's side has ended, all ends after that.
    private func closeOutput(_ promise: EventLoopPromise<Void>?) {
        switch output {
        case .closed: promise?.fail(ChannelError.outputClosed)
        case .closing(let promises): output = .closing(promises + (promise.map { [$0] } ?? []))
        case .open:
            output = .closing(promise.map { [$0] } ?? [])
            for dropped in writes.drop(.unflushed) { dropped.fail(ChannelError.outputClosed) }
            notify()
        }
    }
}
#endif
