import AsyncIO
import AsyncIOKernel
import AsyncIOTestSupport
import Glibc
import SystemPackage
import Testing

@testable import AsyncIOLoop

/// What a short read does not mean.
@Suite("A short read")
struct ShortReadTests {
    @Test("of a Unix socket may have stopped behind descriptors: what follows is read", arguments: Setting.all)
    func behindDescriptors(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let (left, right) = try await UnixStream.pair(on: loop)
            // The reader is registered, and waits.
            let first = Task(executorPreference: loop) { try await right.read() }
            await until { await loop.statistics.waitingOperations == 1 }
            try await left.write("a")
            #expect(try await first.value == [UInt8(ascii: "a")])
            // One edge for both messages.
            let second = Task(executorPreference: loop) { try await right.read() }
            await until { await loop.statistics.waitingOperations == 1 }
            try await loop.submit {
                try await left.send([1], descriptors: [0])
                try await left.write([2])
            }.value
            #expect(try await second.value == [1])
            #expect(try await right.read() == [2])
        }
    }

    @Test("of a terminal is one line: the others that were typed are read as well", arguments: Setting.all)
    func lines(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let person = Descriptor(owning: unsafe open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC))
            var number: UInt32 = 0
            var isLocked: Int32 = 0
            let (getNumber, setLock): (UInt, UInt) = (0x8004_5430, 0x4004_5431)
            try #require(
                unsafe ioctl(person.number, setLock, &isLocked) == 0 && ioctl(person.number, getNumber, &number) == 0)
            let shell = Descriptor(owning: unsafe open("/dev/pts/\(number)", O_RDWR | O_NOCTTY | O_CLOEXEC))
            let terminal = try await PipeStream.reading(shell, on: loop)
            let typed = "a\nb\nc\nd\n"
            _ = unsafe write(person.number, typed, typed.utf8.count)
            for line in ["a\n", "b\n", "c\n", "d\n"] {
                #expect(try await terminal.read() == Array(line.utf8))
            }
        }
    }

    @Test("through a proxy of Unix sockets stops nothing either", arguments: Setting.all)
    func relayed(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let (client, near) = try await UnixStream.pair(on: loop)
            let (far, server) = try await UnixStream.pair(on: loop)
            let copying = Task(executorPreference: loop) { try await copy(from: near, to: far) }
            for round in UInt8(0)..<50 {
                try await client.send([round], descriptors: [0])
                try await client.write([round])
                var bytes: [UInt8] = []
                while bytes.count < 2 { bytes += try #require(try await server.read()) }
                #expect(bytes == [round, round])
            }
            try await client.closeWriting()
            #expect(try await copying.value == 100)
        }
    }
}

@Suite("A connection that is broken off")
struct BrokenConnectionTests {
    @Test("is no end of data for the reader, although a writer has had the error", arguments: Setting.all)
    func resetIsNoEnd(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let stream = try await Self.brokenStream(on: loop)
            // The first one to call gets the kernel's error; there is only one.
            let writing = try await ioError {
                while true { try await stream.write("x") }
            }
            #expect(writing.code == .connectionReset || writing.code == .brokenPipe)
            let reading = try await ioError { try await stream.read() }
            #expect(reading.code == .connectionReset)
        }
    }

    /// The peer is let go here, and resets.
    private static func brokenStream(on loop: EventLoop) async throws -> TCPStream {
        let (stream, peer) = try await streamWithPeer(on: loop)
        try peer.resetOnClose()
        return stream
    }

    @Test("while a file is sent over it costs an error and no signal", arguments: Setting.all)
    func noSignal(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            // A page cache's worth: many steps within one call of sendfile(2).
            let file = try Scratch.nameless()
            try #require(ftruncate(file.number, 64 << 20) == 0)
            for round in 0..<200 {
                let (left, right) = try await UnixStream.pair(on: loop)
                let closing = Task.detached {
                    _ = try? await right.read(upTo: 1 + round * 300)
                    right.close()
                }
                _ = try? await left.sendFile(file)
                left.close()
                await closing.value
            }
        }
    }
}
