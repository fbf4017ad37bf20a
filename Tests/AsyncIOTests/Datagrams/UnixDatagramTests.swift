import AsyncIO
import AsyncIOKernel
import AsyncIOLoop
import AsyncIOTestSupport
import AsyncIOTesting
import CAsyncIO
import Glibc
import SystemPackage
import Testing

@Suite("A Unix datagram socket", .timeLimit(.minutes(30)))
struct UnixDatagramTests {
    /// A path that nobody else uses.
    static func path() -> String { "/tmp/asyncio-dgram-\(getpid())-\(UInt64.random(in: 0 ... .max))" }

    static func exists(_ path: String) -> Bool { unsafe access(path, F_OK) == 0 }

    @Test("sends and receives, with the sender's address", arguments: Setting.everywhere)
    func roundTrip(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let path = Self.path()
            let server = try await UnixDatagramSocket.bind(path, on: loop)
            #expect("\(server)" == "UnixDatagramSocket(unix:\(path))")
            let addresses: [SocketAddress?] = [
                nil, .unnamedUnix, try .unix(path: path + "-client"), try .unix(abstract: path),
            ]
            for local in addresses {
                let client = try await UnixDatagramSocket.connect(to: server.local, from: local, on: loop)
                for size in [0, 1, 65_535, 100_000] {
                    try await client.send(Bytes.pattern(size))
                    let datagram = try await server.receive(upTo: 200_000)
                    #expect(datagram.bytes == Bytes.pattern(size))
                    #expect(datagram.peer == client.local)
                    guard local != nil else { continue }
                    #expect(datagram.peer != .unnamedUnix)
                    try await server.send(datagram.bytes, to: datagram.peer)
                    #expect(try await client.receive(upTo: 200_000).bytes == datagram.bytes)
                }
            }
            #expect(!Self.exists(path + "-client"))
            server.close()
            #expect(!Self.exists(path))
        }
    }

    @Test("takes an empty datagram for a datagram, and tells one that was cut", arguments: Setting.everywhere)
    func emptyAndCut(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let (left, right) = try await UnixDatagramSocket.pair(on: loop)
            try await left.send([])
            try await left.send([1, 2, 3])
            try await left.send([])
            try await left.send([4])
            #expect(try await right.receive().bytes == [])
            let cut = try await right.receive(upTo: 2)
            #expect(cut.bytes == [1, 2] && cut.isTruncated && cut.info.length == 3)
            let rest = try await right.receiveBatch()
            #expect(rest.map(\.bytes) == [[], [4]] && rest.allSatisfy { !$0.isTruncated && $0.peer == .unnamedUnix })
            async let waiting = right.receive()
            try await left.send([])
            #expect(try await waiting.bytes.isEmpty)
        }
    }

    @Test(
        "waits for a receiver that does not keep up, and loses nothing", arguments: Setting.everywhere, [true, false])
    func backpressure(setting: Setting, isConnected: Bool) async throws {
        try await withLoop(setting, faults: SimulationFaults()) { loop in
            let server = try await UnixDatagramSocket.bind(to: .unix(abstract: Self.path()), on: loop)
            let client: UnixDatagramSocket =
                isConnected
                ? try await .connect(to: server.local, on: loop) : try await .bind(to: .unnamedUnix, on: loop)
            let other = try await UnixDatagramSocket.bind(to: .unix(abstract: Self.path()), on: loop)
            let sent = Counter()
            let sending = Task(executorPreference: loop) {
                for number in 0..<200 {
                    if isConnected {
                        try await client.send([UInt8(number)])
                    } else {
                        try await client.send([UInt8(number)], to: server.local)
                    }
                    sent.add()
                }
            }
            // Until it stands still: the queue is full.
            await until { sent.value > 1 }
            for _ in 0..<1_000 { await Task.yield() }
            #expect(sent.value < 200)
            // Somebody else's queue is not.
            try await client.send("by the way", to: other.local)
            #expect(try await other.receive().bytes == Array("by the way".utf8))
            for number in 0..<200 { #expect(try await server.receive().bytes == [UInt8(number)]) }
            try await sending.value
        }
    }

    @Test("goes on when there is room in a queue that others have filled", arguments: Setting.everywhere)
    func othersQueue(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            // Nothing of our own is in the queue, so no memory of ours becomes free when it is taken: nothing tells us.
            let server = try await UnixDatagramSocket.bind(to: .unix(abstract: Self.path()), on: loop)
            let filler = try await UnixDatagramSocket.connect(to: server.local, on: loop)
            let count = Counter()
            try await onLoop(loop) {
                let byte: [UInt8] = [1]
                while try unsafe filler.trySend(byte.span.bytes) { count.add() }
            }
            for isConnected in [true, false] {
                let client =
                    isConnected
                    ? try await UnixDatagramSocket.connect(to: server.local, on: loop)
                    : try await UnixDatagramSocket.bind(to: .unnamedUnix, on: loop)
                let sending = Task(executorPreference: loop) {
                    try await client.send([2], orTo: isConnected ? nil : server.local)
                }
                for _ in 0..<1_000 { await Task.yield() }
                for _ in 0..<count.value { #expect(try await server.receive().bytes == [1]) }
                #expect(try await server.receive().bytes == [2])
                try await sending.value
                for _ in 0..<count.value { try await filler.send([1]) }
            }
        }
    }

    @Test("that waits for a receiver does not keep the loop busy", arguments: [true, false])
    func idleWait(isConnected: Bool) async throws {
        try await withLoop(Setting(driver: .epoll, caller: .onLoop)) { loop in
            let server = try await UnixDatagramSocket.bind(to: .unix(abstract: Self.path()), on: loop)
            let peer = isConnected ? nil : server.local
            let client =
                isConnected
                ? try await UnixDatagramSocket.connect(to: server.local, on: loop)
                : try await UnixDatagramSocket.bind(to: .unnamedUnix, on: loop)
            let byte: [UInt8] = [1]
            var count = 0
            while try unsafe client.trySend(byte.span.bytes, to: peer) { count += 1 }
            let sending = Task(executorPreference: loop) { try await client.send([2], orTo: peer) }
            let before = await loop.statistics.polls
            // sleeps: what happens in real time is the subject.
            try await loop.sleep(for: .milliseconds(100))
            let polls = await loop.statistics.polls - before
            #expect(polls < 60)
            for _ in 0..<count { #expect(try await server.receive().bytes == [1]) }
            #expect(try await server.receive().bytes == [2])
            try await sending.value
        }
    }

    @Test(
        "that waits for a receiver can be cancelled, and nothing is sent", arguments: Setting.everywhere, [true, false])
    func cancelled(setting: Setting, isConnected: Bool) async throws {
        try await withLoop(setting, faults: SimulationFaults()) { loop in
            let server = try await UnixDatagramSocket.bind(to: .unix(abstract: Self.path()), on: loop)
            let client = try await UnixDatagramSocket.connect(to: server.local, on: loop)
            let sent = Counter()
            let task = Task(executorPreference: loop) {
                while true {
                    try await client.send([UInt8(sent.value)], orTo: isConnected ? nil : server.local)
                    sent.add()
                }
            }
            await until { sent.value > 1 }
            for _ in 0..<1_000 { await Task.yield() }
            task.cancel()
            await #expect(throws: CancellationError.self) { try await task.value }
            try await onLoop(loop) {
                for number in 0..<sent.value {
                    let next = try server.tryReceive()?.bytes
                    #expect(next == [UInt8(number)])
                }
                let last = try server.tryReceive()
                #expect(last == nil)
            }
        }
    }

    @Test("is told that its peer has gone", arguments: Setting.everywhere)
    func gone(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let path = Self.path()
            #expect(
                try await ioError { try await UnixDatagramSocket.connect(path, on: loop) }.code
                    == .noSuchFileOrDirectory)
            let server = try await UnixDatagramSocket.bind(path, on: loop)
            let client = try await UnixDatagramSocket.connect(path, on: loop)
            server.close()
            try await until {
                do {
                    try await client.send([1])
                    return false
                } catch let error as IOError {
                    #expect(error.code == .connectionRefused && error.description.contains(path))
                    return true
                }
            }
            let error = try await ioError { try await client.send([1], to: .unix(path: path)) }
            #expect(error.code == .noSuchFileOrDirectory)
        }
    }

    @Test("names the size of what is too long, and its buffer's", arguments: Setting.everywhere)
    func tooLong(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let (left, _) = try await UnixDatagramSocket.pair(on: loop)
            let error = try await ioError { try await left.send(Bytes.pattern(8 << 20)) }
            #expect(error.code == .messageTooLong && error.description.contains("\(8 << 20)"))
            #expect(error.description.contains("send buffer of"), "\(error)")
        }
    }

    @Test("replaces the file of one that is gone, and no other", arguments: Setting.all)
    func stale(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let path = Self.path()
            defer { unsafe unlink(path) }
            // A socket that a process left behind.
            let number = socket(AF_UNIX, CInt(SOCK_DGRAM.rawValue) | CInt(SOCK_CLOEXEC.rawValue), 0)
            let address = try SocketAddress.unix(path: path)
            let bound = unsafe address.withSockaddr { unsafe Glibc.bind(number, $0, $1) }
            #expect(bound == 0)
            #expect(try await ioError { try await UnixDatagramSocket.bind(path, on: loop) }.code == .addressInUse)
            close(number)
            #expect(Self.exists(path))
            let first = try await UnixDatagramSocket.bind(path, on: loop)
            // Now somebody is there.
            #expect(try await ioError { try await UnixDatagramSocket.bind(path, on: loop) }.code == .addressInUse)
            // Somebody puts another socket in its place: it is not ours to remove.
            unsafe unlink(path)
            let second = try await UnixDatagramSocket.bind(path, on: loop)
            first.close()
            #expect(Self.exists(path))
            second.close()
            #expect(!Self.exists(path))
            // A plain file is nobody's socket.
            let file = unsafe open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0o600)
            close(file)
            #expect(try await ioError { try await UnixDatagramSocket.bind(path, on: loop) }.code == .addressInUse)
            #expect(Self.exists(path))
        }
    }

    @Test("a batch with room for more than 64 KiB each brings long datagrams whole", arguments: Setting.everywhere)
    func longBatch(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let (left, right) = try await UnixDatagramSocket.pair(on: loop)
            try await left.send(Bytes.pattern(100_000))
            // So much room for so many would be 64 GiB.
            let batch = try await right.receiveBatch(upTo: 4_096, limit: .max)
            #expect(batch.map(\.bytes) == [Bytes.pattern(100_000)])
            #expect(batch.allSatisfy { !$0.isTruncated })
            try await left.send(Bytes.pattern(100_000))
            let cut = try await right.receiveBatch(limit: 70_000)
            #expect(cut.map(\.bytes.count) == [70_000])
            #expect(cut.first?.isTruncated == true && cut.first?.info.length == 100_000)
        }
    }

    @Test("of many that bind at the same time to a stale file, one gets it, and keeps it")
    func race() async throws {
        try await withLoop(Setting(driver: .epoll, caller: .elsewhere)) { loop in
            for _ in 0..<20 {
                let path = Self.path()
                let address = try SocketAddress.unix(path: path)
                let number = socket(AF_UNIX, CInt(SOCK_DGRAM.rawValue) | CInt(SOCK_CLOEXEC.rawValue), 0)
                let bound = unsafe address.withSockaddr { unsafe Glibc.bind(number, $0, $1) }
                #expect(bound == 0)
                close(number)
                let sockets = await withTaskGroup { group in
                    for _ in 0..<8 { group.addTask { try? await UnixDatagramSocket.bind(path, on: loop) } }
                    var sockets: [UnixDatagramSocket] = []
                    for await socket in group { if let socket { sockets.append(socket) } }
                    return sockets
                }
                #expect(sockets.count == 1)
                let client = try await UnixDatagramSocket.connect(path, on: loop)
                try await client.send([1])
                #expect(try await sockets.first?.receive().bytes == [1])
                sockets.first?.close()
                #expect(!Self.exists(path))
            }
        }
    }

    @Test("closes descriptors that nobody asked for", arguments: Setting.all)
    func strayDescriptors(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let server = try await UnixDatagramSocket.bind(to: .unix(abstract: Self.path()), on: loop)
            let sender = Descriptor(owning: socket(AF_UNIX, CInt(SOCK_DGRAM.rawValue) | CInt(SOCK_CLOEXEC.rawValue), 0))
            let ends = try SystemCall.pipe()
            let (reader, writer) = (ends.reader, ends.writer)
            defer { close(reader) }
            #expect(sendDescriptor(writer, over: sender.number, to: server.local) == 1)
            close(writer)
            #expect(try await server.receive().bytes == [7])
            // The last writer has gone with the datagram: the pipe is at its end.
            #expect(Bytes.read(1, from: reader) == 0)
        }
    }
}

extension UnixDatagramSocket {
    func send(_ bytes: [UInt8], orTo peer: SocketAddress?) async throws {
        if let peer { try await send(bytes, to: peer) } else { try await send(bytes) }
    }
}

/// Runs a body on the loop's thread.
private func onLoop(_ loop: EventLoop, _ body: @escaping @Sendable () throws -> Void) async throws {
    try await Task(executorPreference: loop) { try body() }.value
}

/// sendmsg(2) of one byte and a descriptor.
private func sendDescriptor(_ passed: CInt, over number: CInt, to address: SocketAddress) -> Int {
    var byte: UInt8 = 7
    var control: (UInt, CInt, CInt, CInt, CInt) = (20, SOL_SOCKET, 1, passed, 0)
    return unsafe withUnsafeMutablePointer(to: &byte) { byte in
        unsafe withUnsafeMutablePointer(to: &control) { control in
            var vector = unsafe iovec(iov_base: byte, iov_len: 1)
            return unsafe withUnsafeMutablePointer(to: &vector) { vector in
                unsafe address.withSockaddr { name, length in
                    var header = unsafe msghdr()
                    unsafe header.msg_name = UnsafeMutableRawPointer(mutating: name)
                    unsafe header.msg_namelen = length
                    unsafe header.msg_iov = vector
                    unsafe header.msg_iovlen = 1
                    unsafe header.msg_control = UnsafeMutableRawPointer(control)
                    unsafe header.msg_controllen = 24
                    return SystemCall.result { unsafe sendmsg(number, &header, 0) }
                }
            }
        }
    }
}
