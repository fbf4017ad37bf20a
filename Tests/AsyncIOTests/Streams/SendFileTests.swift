import AsyncIO
import AsyncIOKernel
import AsyncIOTestSupport
import Glibc
import SystemPackage
import Testing

@Suite("Sending a file")
struct SendFileTests {
    @Test("sends all of it, byte for byte, through every kind of stream", arguments: Setting.all, Kind.allCases)
    func whole(setting: Setting, kind: Kind) async throws {
        try await withLoop(setting) { loop in
            let count = 3_000_001
            let (near, far) = try await kind.pair(on: loop)
            let sending = Task(executorPreference: loop) {
                let sent = try await near.sendFile(try Self.file(count))
                try await near.closeWriting()
                return sent
            }
            let received = try await Self.readAll(far)
            #expect(try await sending.value == count)
            #expect(received.count == count)
            #expect(Bytes.difference(received, at: 0) == nil)
        }
    }

    @Test("sends a part, and leaves the file's own position alone", arguments: Setting.all)
    func part(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let connection = try await Connection(on: loop)
            let file = try Self.file(100_000)
            let before = lseek(file.number, 0, SEEK_CUR)
            let sent = try await connection.client.sendFile(file, from: 70_001, count: 5_000)
            #expect(lseek(file.number, 0, SEEK_CUR) == before)
            let received = try await connection.server.readExactly(5_000)
            #expect(sent == 5_000)
            #expect(Bytes.difference(received, at: 70_001) == nil)
        }
    }

    @Test("that is shorter than promised is an error that says how much was sent", arguments: Setting.all)
    func short(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let connection = try await Connection(on: loop)
            let file = try Self.file(1_000)
            let error = try await ioError { try await connection.client.sendFile(file, from: 400, count: 700) }
            #expect(error.code == .noData)
            #expect("\(error)".hasSuffix("the file ended after 600 of 700 bytes"))
        }
    }

    @Test("that is cut while it is sent ends in an error, never in wrong bytes", arguments: Setting.all)
    func truncated(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let (stream, peer) = try await streamWithPeer(on: loop, receiveBuffer: 4_096)
            let count = 32 << 20
            let file = try Self.file(count)
            let number = file.number
            async let failure = ioError { try await stream.sendFile(file, count: count) }
            // The peer takes nothing: the kernel's buffers are full, and the sender waits.
            await until { await loop.statistics.waitingOperations > 0 }
            #expect(ftruncate(number, 100_000) == 0)
            let received = Task {
                try await onThread { () -> [UInt8] in
                    var all: [UInt8] = []
                    while true {
                        let bytes = try peer.receive()
                        if bytes.isEmpty { return all }
                        all += bytes
                    }
                }
            }
            #expect(try await failure.code == .noData)
            stream.close()
            // Pages that were already on their way may read as zeros once the file is cut: sendfile(2) does not copy.
            // But none is out of its place.
            let bytes = try await received.value
            #expect(bytes.count < count)
            #expect(Bytes.difference(Array(bytes.prefix(100_000)), at: 0) == nil)
        }
    }

    @Test("that the kernel cannot send so is read instead", arguments: Setting.all)
    func fallback(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let connection = try await Connection(on: loop)
            let sent = try await connection.client.sendFile(at: "/proc/self/status")
            let received = try await connection.server.readExactly(sent)
            #expect(sent > 100)
            #expect(String(decoding: received, as: UTF8.self).hasPrefix("Name:"))
        }
    }

    @Test("that does not exist is named in the error", arguments: Setting.all)
    func missing(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let connection = try await Connection(on: loop)
            let error = try await ioError { try await connection.client.sendFile(at: "/nowhere/at-all") }
            #expect(error.code == .noSuchFileOrDirectory)
            #expect("\(error)".hasPrefix("open /nowhere/at-all"))
        }
    }

    @Test("refuses a negative offset or count", arguments: [(-1, 5), (0, -5)])
    func negative(offset: Int, count: Int) async throws {
        try await withLoop(Setting(driver: .epoll, caller: .onLoop)) { loop in
            let connection = try await Connection(on: loop)
            let file = try Self.file(10)
            let error = try await ioError {
                try await connection.client.sendFile(file, from: Int64(offset), count: count)
            }
            #expect(error.code == .invalidArgument)
        }
    }

    @Test("stops when its task is cancelled", arguments: Setting.all)
    func cancelled(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let (stream, peer) = try await streamWithPeer(on: loop, receiveBuffer: 4_096)
            let sending = Task(executorPreference: loop) { try await stream.sendFile(try Self.file(32 << 20)) }
            await until { await loop.statistics.waitingOperations > 0 }
            sending.cancel()
            await #expect(throws: CancellationError.self) { try await sending.value }
            withExtendedLifetime(peer) {}
        }
    }

    enum Kind: CaseIterable, Sendable {
        case tcp, unix, pipe

        func pair(on loop: EventLoop) async throws -> (any ByteStream, any ByteStream) {
            switch self {
            case .tcp:
                let connection = try await Connection(on: loop)
                return (connection.client, connection.server)
            case .unix: return try await UnixStream.pair(on: loop)
            case .pipe:
                let pipe = try await PipeStream.oneWay(on: loop)
                return (pipe.writing, pipe.reading)
            }
        }
    }

    /// A file without a name that holds bytes whose place can be told.
    private static func file(_ count: Int) throws -> Descriptor { try Scratch.nameless(Bytes.pattern(count)) }

    private static func readAll(_ stream: any ByteStream) async throws -> [UInt8] {
        var all: [UInt8] = []
        while let bytes = try await stream.read(upTo: 65_536) { all += bytes }
        return all
    }
}
