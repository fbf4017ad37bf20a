import AsyncIO
import AsyncIOKernel
import AsyncIOLoop
import AsyncIOTestSupport
import Glibc
import SystemPackage
import Testing

@Suite("Credentials and descriptors over Unix sockets", .timeLimit(.minutes(30)))
struct DescriptorPassingTests {
    /// How many descriptors of this process lead to the file: others come and go with other tests.
    private static func open(_ path: String) -> Int {
        guard let stream = unsafe opendir("/proc/self/fd") else { return -1 }
        defer { unsafe closedir(stream) }
        var count = 0
        while let entry = unsafe readdir(stream) {
            let name = unsafe withUnsafePointer(to: &entry.pointee.d_name) {
                unsafe $0.withMemoryRebound(to: CChar.self, capacity: 256) { unsafe String(cString: $0) }
            }
            var target = [CChar](repeating: 0, count: 4096)
            let length = unsafe readlink("/proc/self/fd/" + name, &target, target.count)
            let text = String(decoding: target.prefix(max(length, 0)).map { UInt8(bitPattern: $0) }, as: UTF8.self)
            if text == path { count += 1 }
        }
        return count
    }

    private static func file(in folder: Scratch) throws -> Descriptor {
        let path = folder["file"]
        if !Scratch.exists(path) { try folder.file("file", "precious") }
        let flags = O_RDONLY | O_CLOEXEC
        return Descriptor(owning: CInt(try SystemCall.call("open") { unsafe Glibc.open(path, flags) }))
    }

    @Test("the kernel vouches for who the peer is", arguments: Setting.all)
    func credentials(setting: Setting) async throws {
        let folder = try Scratch()
        try await withLoop(setting) { loop in
            let listener = try await UnixListener.bind(folder["a.sock"], on: loop)
            let client = try await UnixStream.connect(to: listener.address, on: loop)
            let server = try await listener.accept()
            for stream in [client, server] {
                let peer = try await stream.peerCredentials
                #expect(peer.processID == getpid() && peer.userID == geteuid() && peer.groupID == getegid())
            }
            server.close()
            #expect(try await ioError { try await server.peerCredentials }.code == .badFileDescriptor)
        }
    }

    @Test("descriptors come with their bytes, in order, and close-on-exec", arguments: Setting.all)
    func passes(setting: Setting) async throws {
        let folder = try Scratch()
        try await withLoop(setting) { loop in
            let (left, right) = try await UnixStream.pair(on: loop)
            let file = try Self.file(in: folder)
            let (reader, writer) = try SystemCall.pipe()
            let (output, input) = (Peer(descriptor: reader), Peer(descriptor: writer))
            try await left.send(Array("two".utf8), descriptors: [file.number, input.descriptor])
            try await left.write("more")
            guard var received = try await right.receiveDescriptors(upTo: 10) else {
                Issue.record("nothing came")
                return
            }
            #expect(received.bytes == Array("two".utf8) && received.count == 2 && !received.wereDropped)
            guard let first = received.take(), let second = received.take() else {
                Issue.record("no descriptors")
                return
            }
            #expect(received.count == 0)
            #expect(fcntl(first.number, F_GETFD) & FD_CLOEXEC != 0)
            #expect(Bytes.read(8, from: first.number) == 8)
            Bytes.write(5, to: second.number)
            #expect(Bytes.read(10, from: output.descriptor) == 5)
            #expect(try await right.read() == Array("more".utf8))
            left.close()
            #expect(try await right.receiveDescriptors(upTo: 1) == nil)
        }
    }

    /// A24: what a reader does not ask for must not stay open for ever.
    @Test(
        "300 descriptors to a reader that asks for one: none is left over, and it is told",
        arguments: Setting.all)
    func surplus(setting: Setting) async throws {
        let folder = try Scratch()
        try await withLoop(setting) { loop in
            let (left, right) = try await UnixStream.pair(on: loop)
            let file = try Self.file(in: folder)
            let path = folder["file"]
            #expect(Self.open(path) == 1)
            for count in [253, 47] {
                try await left.send([1], descriptors: [CInt](repeating: file.number, count: count))
            }
            for _ in 0..<2 {
                guard let received = try await right.receiveDescriptors(upTo: 1) else {
                    Issue.record("nothing came")
                    return
                }
                #expect(received.bytes == [1] && received.count == 1 && received.wereDropped)
                #expect(Self.open(path) == 2)
            }
            #expect(Self.open(path) == 1, "what was not taken is closed with the value")
            // Somebody who only reads is not made to own anything.
            try await left.send([1, 2], descriptors: [file.number, file.number])
            #expect(try await right.read() == [1, 2])
            #expect(Self.open(path) == 1)
            // Nor is one who asks for the bytes alone.
            try await left.send([3], descriptors: [file.number])
            guard let bare = try await right.receiveDescriptors(upTo: 0) else { return }
            #expect(bare.bytes == [3] && bare.count == 0)
            #expect(Self.open(path) == 1)
        }
    }

    @Test("what cannot be sent is refused, with the number", arguments: Setting.all)
    func refusals(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let (left, right) = try await UnixStream.pair(on: loop)
            let many = try await ioError { try await left.send([1], descriptors: [CInt](repeating: 0, count: 254)) }
            #expect(many.code == .invalidArgument && "\(many)".contains("254 descriptors; at most 253"))
            #expect(try await ioError { try await left.send([], descriptors: [0]) }.code == .invalidArgument)
            #expect(try await ioError { try await left.send([1], descriptors: [-1]) }.code == .badFileDescriptor)
            let room = try await ioError { _ = try await right.receiveDescriptors(upTo: 1, bytes: 0) }
            #expect(room.code == .invalidArgument)
            try await left.send([9], descriptors: [])
            #expect(try await right.read() == [9], "the connection is as it was")
        }
    }

    @Test("a large message with descriptors goes through whole, past a slow reader", arguments: Setting.all)
    func large(setting: Setting) async throws {
        let folder = try Scratch()
        try await withLoop(setting) { loop in
            let (left, right) = try await UnixStream.pair(on: loop)
            let number = try Self.file(in: folder).release()
            let bytes = Bytes.pattern(3_000_000)
            async let sending: Void = left.send(bytes, descriptors: [number])
            var all: [UInt8] = []
            var descriptors = 0
            while all.count < bytes.count, var part = try await right.receiveDescriptors(upTo: 4) {
                all += part.bytes
                while part.take() != nil { descriptors += 1 }
            }
            try await sending
            #expect(all == bytes && descriptors == 1)
            close(number)
        }
    }

    @Test("no other writer's bytes come between those of a message with descriptors", arguments: Setting.all)
    func undivided(setting: Setting) async throws {
        let folder = try Scratch()
        try await withLoop(setting) { loop in
            let (left, right) = try await UnixStream.pair(on: loop)
            let number = try Self.file(in: folder).release()
            let bytes = Bytes.pattern(3_000_000)
            let sent = Counter()
            async let sending: Void = {
                defer { sent.add() }
                try await left.send(bytes, descriptors: [number])
            }()
            // The kernel has taken a part.
            guard let first = try await right.receiveDescriptors(upTo: 1) else { return }
            var all = first.bytes
            async let refused: Int = {
                var refused = 0
                while sent.value == 0 {
                    do { try await left.write([0]) } catch let error as IOError where error.code == .resourceBusy {
                        refused += 1
                    }
                    await EventLoop.yield()
                }
                return refused
            }()
            while all.count < bytes.count, let part = try await right.read() { all += part }
            try await sending
            #expect(try await refused > 0 && all.starts(with: bytes))
            close(number)
        }
    }

    @Test("a wait for descriptors that is cancelled loses none", arguments: Setting.all)
    func cancelled(setting: Setting) async throws {
        let folder = try Scratch()
        try await withLoop(setting) { loop in
            let (left, right) = try await UnixStream.pair(on: loop)
            let file = try Self.file(in: folder)
            let waiting = Task.detached(executorPreference: setting.caller == .onLoop ? loop : nil) {
                _ = try await right.receiveDescriptors(upTo: 1)
            }
            await until { await loop.statistics.waitingOperations > 0 }
            waiting.cancel()
            await #expect(throws: CancellationError.self) { try await waiting.value }
            try await left.send([1], descriptors: [file.number])
            let received = try await right.receiveDescriptors(upTo: 1)
            #expect(received?.count == 1)
        }
    }
}
