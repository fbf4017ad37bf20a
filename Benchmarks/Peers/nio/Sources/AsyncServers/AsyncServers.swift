import NIOCore
import NIOPosix
import NIOWorks
import TaskWorks
import _NIOFileSystem

#if canImport(Glibc)
import Glibc
#endif

typealias Stream = NIOAsyncChannel<ByteBuffer, ByteBuffer>

/// Servers and works over NIO's asynchronous interfaces, on the one loop of its singleton group. Does one; false if
/// there is no such work.
@concurrent
public func runAsyncWork(_ work: String, _ arguments: [Int]) async throws -> Bool {
    let count = arguments.first ?? 0
    switch work {
    case "echo": try await echo(port: count)
    case "proxy": try await proxy(port: count, target: arguments.count > 1 ? arguments[1] : 0)
    case "udp": try await udp(port: count)
    case "files": try await files(count)
    case "cross": await cross(count)
    case "start": await Task {}.value
    default:
        guard let done = loopWork(work, count, on: MultiThreadedEventLoopGroup.singleton.any()) else { return false }
        try await done.get()
    }
    return true
}

func ready() {
    print("ready")
    fflush(nil)
}

func listen(
    _ port: Int, halfClosure: Bool, _ serve: @escaping @Sendable (Stream) async throws -> Void
) async throws {
    let listener = try await ServerBootstrap(group: .singletonMultiThreadedEventLoopGroup)
        .serverChannelOption(.backlog, value: 4096)
        .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
        .childChannelOption(.maxMessagesPerRead, value: 16)
        .childChannelOption(.allowRemoteHalfClosure, value: halfClosure)
        .bind(host: "127.0.0.1", port: port) { channel in
            channel.eventLoop.makeCompletedFuture {
                try Stream(
                    wrappingChannelSynchronously: channel,
                    configuration: .init(isOutboundHalfClosureEnabled: halfClosure))
            }
        }
    ready()
    try await withThrowingDiscardingTaskGroup { group in
        try await listener.executeThenClose { connections in
            for try await connection in connections {
                group.addTask { try? await serve(connection) }
            }
        }
    }
}

func echo(port: Int) async throws {
    try await listen(port, halfClosure: false) { connection in
        try await connection.executeThenClose { inbound, outbound in
            for try await buffer in inbound { try await outbound.write(buffer) }
        }
    }
}

func proxy(port: Int, target: Int) async throws {
    try await listen(port, halfClosure: true) { client in
        let server = try await ClientBootstrap(group: .singletonMultiThreadedEventLoopGroup)
            .channelOption(.maxMessagesPerRead, value: 16)
            .channelOption(.allowRemoteHalfClosure, value: true)
            .connect(host: "127.0.0.1", port: target) { channel in
                channel.eventLoop.makeCompletedFuture {
                    try Stream(
                        wrappingChannelSynchronously: channel,
                        configuration: .init(isOutboundHalfClosureEnabled: true))
                }
            }
        try await client.executeThenClose { fromClient, toClient in
            try await server.executeThenClose { fromServer, toServer in
                try await withThrowingTaskGroup { group in
                    group.addTask { try await pump(fromClient, toServer) }
                    group.addTask { try await pump(fromServer, toClient) }
                    try await group.waitForAll()
                }
            }
        }
    }
}

func pump(
    _ from: NIOAsyncChannelInboundStream<ByteBuffer>, _ to: NIOAsyncChannelOutboundWriter<ByteBuffer>
) async throws {
    for try await buffer in from { try await to.write(buffer) }
    to.finish()
}

func udp(port: Int) async throws {
    let socket = try await DatagramBootstrap(group: .singletonMultiThreadedEventLoopGroup)
        .channelOption(.socketOption(.so_reuseaddr), value: 1)
        // The default would cut datagrams off after 2 KiB.
        .channelOption(.recvAllocator, value: FixedSizeRecvByteBufferAllocator(capacity: 65536))
        .bind(host: "127.0.0.1", port: port) { channel in
            channel.eventLoop.makeCompletedFuture {
                try NIOAsyncChannel<AddressedEnvelope<ByteBuffer>, AddressedEnvelope<ByteBuffer>>(
                    wrappingChannelSynchronously: channel)
            }
        }
    ready()
    try await socket.executeThenClose { inbound, outbound in
        for try await datagram in inbound { try await outbound.write(datagram) }
    }
}

func files(_ count: Int) async throws {
    try await withSampleFile { path in
        try await FileSystem.shared.withFileHandle(forReadingAt: FilePath(path)) { file in
            try await measure("files", count) { count in
                var pages = RandomPages()
                for _ in 0..<count {
                    let bytes = try await file.readChunk(fromAbsoluteOffset: pages.next(), length: .kibibytes(4))
                    precondition(bytes.readableBytes == 4096)
                }
            }
        }
    }
}

/// Between two loops, each an actor's executor.
func cross(_ count: Int) async {
    let group = MultiThreadedEventLoopGroup(numberOfThreads: 2)
    let (home, other) = (OnLoop(group.next()), OnLoop(group.next()))
    await home.cross(count, other)
}

actor OnLoop {
    private let loop: any SerialExecutor
    private var answered = 0

    nonisolated var unownedExecutor: UnownedSerialExecutor { loop.asUnownedSerialExecutor() }

    init(_ loop: any EventLoop) { self.loop = loop.executor }

    @inline(never)
    func answer(_ number: Int) -> Int {
        answered += 1
        return number
    }

    func cross(_ count: Int, _ other: OnLoop) async {
        await measure("cross", count) { count in
            for number in 0..<count {
                let answer = await other.answer(number)
                precondition(answer == number)
            }
        }
    }
}
