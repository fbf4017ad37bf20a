#if NIO
import AsyncIO
import AsyncIOKernel
import AsyncIOLoop
import AsyncIONIO
import AsyncIOTestSupport
import NIOCore
import Testing

@Suite("A channel over a byte stream", .timeLimit(.minutes(5)))
struct StreamChannelTests {
    @Test("echoes over TCP what comes, and finishes after its peer", arguments: Setting.everywhere)
    func echo(_ setting: Setting) async throws {
        let sent = (0..<300_000).map { UInt8(truncatingIfNeeded: $0 &* 31) }
        let received = try await withLoop(setting) { loop in
            let listener = try await TCPListener.bind("127.0.0.1", 0, on: loop)
            let server = loop.spawn(name: "server") {
                try await listener.serve { connection in
                    try await StreamChannel.run(over: connection) { channel in
                        try channel.syncOptions?.setOption(ChannelOptions.allowRemoteHalfClosure, value: true)
                        try channel.pipeline.syncOperations.addHandler(EchoHandler())
                    }
                }
            }
            let client = try await TCPStream.connect(to: listener.address, on: loop)
            async let received = client.readAll()
            try await client.write(sent)
            try await client.closeWriting()
            let bytes = try await received
            client.close()
            listener.shutdown()
            try await server.value
            return bytes
        }
        #expect(received == sent)
    }

    @Test("knows both addresses, and is on the loop", arguments: Setting.onLoop)
    func addresses(_ setting: Setting) async throws {
        let (isRight, port) = try await withLoop(setting) { loop in
            let listener = try await TCPListener.bind("127.0.0.1", 0, on: loop)
            let (host, port) = ("127.0.0.1", listener.address.port ?? 0)
            let channel = try await StreamChannel.connect(host, port, on: loop) { $0 }
            let isRight = channel.eventLoop === loop.nio && channel.isActive && channel.localAddress?.port != nil
            try await channel.close().get()
            listener.close()
            return (isRight, channel.remoteAddress?.port == Int(port))
        }
        #expect(isRight && port)
    }

    @Test("leaves bytes at the stream while its handlers do not ask, and the sender waits", arguments: Setting.onLoop)
    func backpressureIn(_ setting: Setting) async throws {
        let (waiting, taken, received) = try await withLoop(setting) { loop in
            let (ours, theirs) = MemoryStream.pair(capacity: 1_000)
            let counter = Counter()
            let channel = try await StreamChannel.open(over: ours, on: loop) { channel in
                try channel.syncOptions?.setOption(ChannelOptions.autoRead, value: false)
                try channel.pipeline.syncOperations.addHandler(counter)
                return channel
            }
            let writer = loop.spawn(name: "writer") { try await theirs.write([UInt8](repeating: 1, count: 10_000)) }
            while ours.availableBytes < 1_000 { try await loop.sleep(for: .milliseconds(1)) }
            let (waiting, taken) = (ours.availableBytes, counter.total.all.count)
            try await channel.setOption(ChannelOptions.autoRead, value: true).get()
            try await writer.value
            theirs.close()
            try await channel.closeFuture.get()
            return (waiting, taken, counter.total.all.reduce(0, +))
        }
        #expect(waiting == 1_000 && taken == 0 && received == 10_000)
    }

    @Test("is not writable while its stream takes nothing, and again when it has", arguments: Setting.onLoop)
    func backpressureOut(_ setting: Setting) async throws {
        let (isFull, events, received) = try await withLoop(setting) { loop in
            let (ours, theirs) = MemoryStream.pair(capacity: 1_000)
            let recorder = EventRecorder()
            let channel = try await StreamChannel.open(over: ours, on: loop) { channel in
                try channel.pipeline.syncOperations.addHandler(recorder)
                return channel
            }
            let written = channel.eventLoop.makePromise(of: Void.self)
            channel.writeAndFlush(ByteBuffer(repeating: 7, count: 200_000), promise: written)
            let isFull = !channel.isWritable
            var received = 0
            while received < 200_000, let bytes = try await theirs.read() { received += bytes.count }
            try await written.futureResult.get()
            let isWritable = channel.isWritable
            try await channel.close().get()
            return (isFull && isWritable, recorder.events.all, received)
        }
        #expect(isFull && received == 200_000)
        #expect(events.filter { $0.hasSuffix("writable") } == ["not writable", "writable"])
    }

    @Test("breaks the stream off if it is closed before all has been taken, and closes it otherwise")
    func closing() async throws {
        let (broken, whole) = try await withLoop(try #require(Setting.onLoop.first)) { loop in
            var ends: [String] = []
            for size in [5_000, 500] {
                let (ours, theirs) = MemoryStream.pair(capacity: 1_000)
                let channel = try await StreamChannel.open(over: ours, on: loop) { $0 }
                channel.writeAndFlush(ByteBuffer(repeating: 7, count: size), promise: nil)
                try await channel.close().get()
                do { ends.append("\(try await theirs.readAll().count)") } catch { ends.append("\(error)") }
            }
            return (ends[0], ends[1])
        }
        #expect(broken.contains("reset") && whole == "500")
    }

    @Test("tells its handlers and its runner what the stream has failed with", arguments: Setting.onLoop)
    func failure(_ setting: Setting) async throws {
        let (error, events) = try await withLoop(setting) { loop in
            let (ours, theirs) = MemoryStream.pair()
            let recorder = EventRecorder()
            theirs.abort()
            do {
                try await StreamChannel.run(over: ours, on: loop) { channel in
                    try channel.pipeline.syncOperations.addHandler(recorder)
                }
            } catch let error as AsyncIOKernel.IOError { return (error.code, recorder.events.all) }
            return (Errno.noSuchFileOrDirectory, recorder.events.all)
        }
        #expect(error == .connectionReset)
        #expect(events.count { $0.hasPrefix("error") } == 1)
        #expect(events.suffix(3) == ["inactive", "unregistered", "removed"])
    }

    @Test("ends with its task's cancellation, wherever that waits", arguments: Setting.everywhere)
    func cancellation(_ setting: Setting) async throws {
        let (isCancelled, events, isReset) = try await withLoop(setting) { loop in
            let (ours, theirs) = MemoryStream.pair()
            let recorder = EventRecorder()
            let active = AsyncEvent(name: "active")
            recorder.react = { event, _ in if event == "active" { active.set() } }
            let run = Task {
                try await StreamChannel.run(over: ours, on: loop) { channel in
                    try channel.pipeline.syncOperations.addHandler(recorder)
                }
            }
            try await active.wait()
            run.cancel()
            var isCancelled = false
            do { try await run.value } catch is CancellationError { isCancelled = true }
            var isReset = false
            do { _ = try await theirs.read() } catch let error as AsyncIOKernel.IOError {
                isReset = error.code == .connectionReset
            }
            return (isCancelled, recorder.events.all, isReset)
        }
        #expect(isCancelled && isReset)
        #expect(events.suffix(3) == ["inactive", "unregistered", "removed"])
    }

    @Test("closes with an error in its making, and its stream with it")
    func badMaking() async throws {
        struct NoHandlers: Error {}
        let end = try await withLoop(try #require(Setting.onLoop.first)) { loop in
            let (ours, theirs) = MemoryStream.pair()
            do {
                try await StreamChannel.run(over: ours, on: loop) { _ in throw NoHandlers() }
            } catch is NoHandlers { return try await theirs.read() == nil }
            return false
        }
        #expect(end)
    }

    @Test("serves SwiftNIO's own asynchronous channel", arguments: Setting.everywhere)
    func asyncChannel(_ setting: Setting) async throws {
        let received = try await withLoop(setting) { loop in
            let (ours, theirs) = MemoryStream.pair(capacity: 1_000)
            let wrapped = try await StreamChannel.open(over: ours, on: loop) { channel in
                try NIOAsyncChannel<ByteBuffer, ByteBuffer>(wrappingChannelSynchronously: channel)
            }
            let server = loop.spawn(name: "server") {
                try await wrapped.executeThenClose { inbound, outbound in
                    for try await bytes in inbound { try await outbound.write(bytes) }
                }
            }
            let writer = loop.spawn(name: "writer") { try await theirs.write([UInt8](repeating: 3, count: 50_000)) }
            var received = 0
            while received < 50_000, let bytes = try await theirs.read() { received += bytes.count }
            try await writer.value
            theirs.close()
            try await server.value
            return received
        }
        #expect(received == 50_000)
    }

    @Test("has its idle handlers woken by the loop's time", arguments: Drivers.available)
    func idle(_ driver: DriverChoice) async throws {
        let event = try await withLoop(Setting(driver: driver, caller: .onLoop)) { loop in
            let (ours, theirs) = MemoryStream.pair()
            let recorder = EventRecorder()
            let idle = AsyncEvent(name: "idle")
            recorder.react = { event, _ in if event.hasPrefix("event") { idle.set() } }
            let channel = try await StreamChannel.open(over: ours, on: loop) { channel in
                try channel.pipeline.syncOperations.addHandlers([
                    IdleStateHandler(readTimeout: .milliseconds(5)), recorder,
                ])
                return channel
            }
            try await idle.wait()
            try await channel.close().get()
            theirs.close()
            return recorder.events.all.first { $0.hasPrefix("event") }
        }
        #expect(event == "event read")
    }
}

extension ByteStream {
    /// Everything up to the end.
    func readAll() async throws -> [UInt8] {
        var all: [UInt8] = []
        while let bytes = try await read(upTo: 65_536) { all += bytes }
        return all
    }
}

/// Counts what comes.
private final class Counter: ChannelInboundHandler, Sendable {
    typealias InboundIn = ByteBuffer
    let total = NIOLockedList<Int>()
    func channelRead(context: ChannelHandlerContext, data: NIOAny) { total.append(unwrapInboundIn(data).readableBytes) }
}
#endif
