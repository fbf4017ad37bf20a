#if NIO
import AsyncIONIO
import NIOCore
import Testing

@Suite("A channel without input and output")
struct SansIOChannelTests {
    /// A channel whose events are recorded.
    private func channel() throws -> (SansIOChannel, EventRecorder, ManualLoop) {
        let loop = ManualLoop()
        let channel = SansIOChannel(on: loop)
        let recorder = EventRecorder()
        try channel.pipeline.syncOperations.addHandler(recorder)
        return (channel, recorder, loop)
    }

    private func text(_ channel: SansIOChannel) -> String? {
        channel.nextOutput().map { output in
            channel.took(output.readableBytes)
            return String(buffer: output)
        }
    }

    private func outcome(_ future: EventLoopFuture<Void>) -> NIOLockedList<String> {
        let outcomes = NIOLockedList<String>()
        future.whenComplete { result in
            switch result {
            case .success: outcomes.append("done")
            case .failure(let error): outcomes.append("\(error)")
            }
        }
        return outcomes
    }

    @Test("tells its handlers of its life in SwiftNIO's order")
    func life() throws {
        let (channel, recorder, loop) = try channel()
        #expect(!channel.isActive && !channel.wantsRead)
        channel.activate()
        #expect(channel.isActive && channel.wantsRead)
        channel.feed(ByteBuffer(string: "a"))
        channel.feedEnd()
        let end = outcome(channel.closeFuture)
        #expect(!channel.isActive && !channel.isOpen && end.all.isEmpty)
        loop.turn()
        #expect(end.all == ["done"])
        #expect(
            recorder.events.all == [
                "registered", "active", "wants read", "read a", "read complete", "wants read", "read complete",
                "inactive", "unregistered", "removed",
            ])
    }

    @Test("tells its handlers of a failure before its end, and fails what was written with it")
    func failure() throws {
        let (channel, recorder, loop) = try channel()
        channel.activate()
        let write = outcome(channel.writeAndFlush(ByteBuffer(string: "x")))
        channel.fail(ChannelError.inputClosed)
        loop.turn()
        #expect(write.all == ["Input closed"])
        #expect(channel.hasDroppedOutput)
        #expect(
            recorder.events.all == [
                "registered", "active", "wants read", "error Input closed", "inactive", "unregistered", "removed",
            ])
    }

    @Test("has sent an empty write that was flushed before the beginning when it begins")
    func emptyBefore() throws {
        let (channel, _, loop) = try channel()
        let empty = outcome(channel.writeAndFlush(ByteBuffer()))
        loop.turn()
        let before = empty.all
        channel.activate()
        loop.turn()
        #expect(before.isEmpty && empty.all == ["done"])
        channel.close(promise: nil)
        loop.turn()
    }

    @Test("keeps promises in order, when their last byte has been taken, and only those of flushed writes")
    func promises() throws {
        let (channel, _, loop) = try channel()
        channel.activate()
        let outcomes = NIOLockedList<String>()
        for text in ["ab", "", "cde"] {
            channel.write(ByteBuffer(string: text)).whenSuccess { outcomes.append(text) }
        }
        #expect(channel.nextOutput() == nil)
        channel.flush()
        channel.write(ByteBuffer()).whenSuccess { outcomes.append("not flushed") }
        #expect(channel.nextOutput() == ByteBuffer(string: "abcde"))
        channel.took(1)
        #expect(outcomes.all.isEmpty)
        channel.took(1)
        #expect(outcomes.all == ["ab", ""])
        #expect(text(channel) == "cde")
        #expect(outcomes.all == ["ab", "", "cde"])
        channel.flush()
        #expect(outcomes.all == ["ab", "", "cde", "not flushed"])
        channel.close(promise: nil)
        loop.turn()
    }

    @Test("offers small writes as one, and a large one in parts")
    func pieces() throws {
        let (channel, _, loop) = try channel()
        channel.activate()
        for _ in 0..<100 { channel.write(ByteBuffer(repeating: 1, count: 100), promise: nil) }
        channel.write(ByteBuffer(repeating: 2, count: 200_000), promise: nil)
        channel.flush()
        var sizes: [Int] = []
        while let output = channel.nextOutput() {
            sizes.append(output.readableBytes)
            #expect(output.readableBytesView.allSatisfy { $0 == (sizes.count == 1 ? 1 : 2) })
            channel.took(output.readableBytes)
        }
        #expect(sizes == [10_000, 65_536, 65_536, 65_536, 3_392])
        channel.close(promise: nil)
        loop.turn()
    }

    @Test("is not writable above the high mark, until it is below the low one")
    func writability() throws {
        let (channel, recorder, loop) = try channel()
        channel.activate()
        let marks = ChannelOptions.Types.WriteBufferWaterMark(low: 3, high: 5)
        try channel.syncOptions?.setOption(ChannelOptions.writeBufferWaterMark, value: marks)
        channel.write(ByteBuffer(string: "12345"), promise: nil)
        #expect(channel.isWritable)
        channel.writeAndFlush(ByteBuffer(string: "6"), promise: nil)
        #expect(!channel.isWritable)
        let buffered = try channel.syncOptions?.getOption(ChannelOptions.bufferedWritableBytes)
        #expect(buffered == 6)
        channel.took(3)
        #expect(!channel.isWritable)
        channel.took(1)
        #expect(channel.isWritable)
        #expect(recorder.events.all.suffix(2) == ["not writable", "writable"])
        channel.close(promise: nil)
        loop.turn()
    }

    @Test("wants bytes only when its handlers do")
    func reading() throws {
        let (channel, recorder, loop) = try channel()
        try channel.syncOptions?.setOption(ChannelOptions.autoRead, value: false)
        channel.activate()
        #expect(!channel.wantsRead)
        channel.read()
        #expect(channel.wantsRead)
        channel.feed(ByteBuffer(string: "a"))
        #expect(!channel.wantsRead)
        try channel.syncOptions?.setOption(ChannelOptions.autoRead, value: true)
        #expect(channel.wantsRead)
        #expect(recorder.events.all.filter { $0 == "wants read" }.count == 2)
        channel.close(promise: nil)
        loop.turn()
    }

    @Test("finishes its own side after what was flushed, and drops what was not")
    func closesOutput() throws {
        let (channel, recorder, loop) = try channel()
        channel.activate()
        channel.writeAndFlush(ByteBuffer(string: "sent"), promise: nil)
        let dropped = outcome(channel.write(ByteBuffer(string: "dropped")))
        let end = outcome(channel.close(mode: .output))
        let late = outcome(channel.writeAndFlush(ByteBuffer(string: "late")))
        #expect(dropped.all == ["Output closed"] && late.all == ["Output closed"])
        #expect(!channel.wantsOutputEnd && end.all.isEmpty)
        #expect(text(channel) == "sent")
        #expect(channel.wantsOutputEnd && channel.nextOutput() == nil)
        channel.outputHasEnded()
        #expect(end.all == ["done"])
        #expect(outcome(channel.close(mode: .output)).all == ["Output closed"])
        channel.feed(ByteBuffer(string: "still"))
        #expect(recorder.events.all.contains("read still"))
        #expect(recorder.events.all.contains("event outputClosed"))
        // The other side as well: that is the end of all.
        channel.feedEnd()
        #expect(!channel.isOpen && !channel.hasDroppedOutput)
        loop.turn()
    }

    @Test("stays open after the peer's end if that is allowed")
    func halfClosure() throws {
        let (channel, recorder, loop) = try channel()
        try channel.syncOptions?.setOption(ChannelOptions.allowRemoteHalfClosure, value: true)
        channel.activate()
        channel.feedEnd()
        #expect(channel.isActive && !channel.wantsRead)
        #expect(recorder.events.all.suffix(2) == ["read complete", "event inputClosed"])
        #expect(outcome(channel.close(mode: .input)).all == ["Input closed"])
        channel.writeAndFlush(ByteBuffer(string: "answer"), promise: nil)
        channel.close(mode: .output, promise: nil)
        // What was flushed comes first.
        #expect(channel.isOpen && text(channel) == "answer")
        #expect(channel.wantsOutputEnd)
        channel.outputHasEnded()
        #expect(!channel.isOpen && !channel.hasDroppedOutput)
        loop.turn()
    }

    @Test("refuses after its end, and what it is not for")
    func refusals() throws {
        let (channel, _, loop) = try channel()
        channel.activate()
        let address = try NIOCore.SocketAddress(ipAddress: "127.0.0.1", port: 1)
        #expect(outcome(channel.connect(to: address)).all == ["Operation unsupported"])
        #expect(outcome(channel.bind(to: address)).all == ["Operation unsupported"])
        #expect(outcome(channel.triggerUserOutboundEvent("x")).all == ["Operation unsupported"])
        #expect(outcome(channel.register()).all == ["Inappropriate operation for state"])
        #expect(outcome(channel.write("text")).all == ["Operation unsupported"])
        #expect(throws: ChannelError.operationUnsupported) {
            try channel.syncOptions?.setOption(ChannelOptions.backlog, value: 1)
        }
        #expect(outcome(channel.close()).all == ["done"])
        loop.turn()
        #expect(outcome(channel.close()).all == ["Already closed"])
        #expect(outcome(channel.write(ByteBuffer())).all == ["I/O on closed channel"])
    }

    @Test("may be closed by a handler in the middle of each event", arguments: ["registered", "active", "read a"])
    func closedInBetween(_ moment: String) throws {
        let (channel, recorder, loop) = try channel()
        recorder.react = { event, context in if event == moment { context.close(promise: nil) } }
        channel.activate()
        channel.feed(ByteBuffer(string: "a"))
        channel.feedEnd()
        channel.fail(ChannelError.eof)
        loop.turn()
        #expect(!channel.isOpen)
        #expect(recorder.events.all.filter { $0 == "unregistered" || $0 == "removed" } == ["unregistered", "removed"])
        #expect(recorder.events.all.contains("inactive") == (moment != "registered"))
    }
}
#endif
