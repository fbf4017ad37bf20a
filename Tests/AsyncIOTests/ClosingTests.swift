import AsyncIOKernel
import AsyncIOLoop
import AsyncIOTestSupport
import Glibc
import SystemPackage
import Testing

@testable import AsyncIO

@Suite("Closing", .timeLimit(.minutes(30)))
struct ClosingTests {
    @Test("ends a read that waits, and says why", arguments: Setting.everywhere)
    func pendingRead(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let connection = try await Connection(on: loop)
            let stream = connection.server
            async let reading = ioError { try await stream.read() }
            await until { await loop.statistics.waitingOperations == 1 }
            stream.close()
            let error = try await reading
            #expect(error.code == .canceled)
            #expect("\(error)" == "read \(stream.peer): closed while the operation waited")
            #expect(try await connection.client.read() == nil)
        }
    }

    @Test("ends a write that waits, and an accept", arguments: Setting.all)
    func pendingWriteAndAccept(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let (stream, peer) = try await streamWithPeer(on: loop, receiveBuffer: 4_096)
            let listener = try await TCPListener.bind("127.0.0.1", 0, on: loop)
            async let writing = ioError { try await stream.write([UInt8](repeating: 1, count: 32 << 20)) }
            async let accepting = ioError { try await listener.accept() }
            await until { await loop.statistics.waitingOperations == 2 }
            try await onThread {
                stream.close()
                listener.close()
            }
            #expect(try await writing.code == .canceled)
            #expect(try await accepting.code == .canceled)
            withExtendedLifetime(peer) {}
        }
    }

    @Test("twice is once, and use afterwards is an error that says so", arguments: Setting.everywhere)
    func useAfterClose(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let connection = try await Connection(on: loop)
            let listener = try await TCPListener.bind("127.0.0.1", 0, on: loop)
            let stream = connection.server
            for _ in 0..<2 {
                stream.close()
                listener.close()
            }
            let errors = [
                try await ioError { try await stream.read() },
                try await ioError { try await stream.write("x") },
                try await ioError { try await stream.closeWriting() },
                try await ioError { try await listener.accept() },
            ]
            #expect(errors.allSatisfy { $0.code == .badFileDescriptor && "\($0)".hasSuffix(": already closed") })
            #expect("\(errors[0])" == "read \(stream.peer): already closed")
        }
    }

    /// A27: the number belongs to somebody else by now.
    @Test("makes a stream harmless whose number another one has got", arguments: Setting.all)
    func reusedNumber(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            for _ in 0..<50 {
                let old = try await Connection(on: loop)
                old.client.close()
                old.server.close()
                let new = try await Connection(on: loop)
                let numbers = [old.client, old.server].map(\.handle.descriptor)
                guard numbers.contains(new.server.handle.descriptor) else { continue }
                try await new.client.write("for the new one")
                for stream in [old.client, old.server] {
                    #expect(try await ioError { try await stream.read() }.code == .badFileDescriptor)
                    #expect(try await ioError { try await stream.write("stray") }.code == .badFileDescriptor)
                    #expect(try await ioError { try await stream.closeWriting() }.code == .badFileDescriptor)
                    stream.close()
                }
                #expect(try await new.server.read() == Array("for the new one".utf8))
                try await new.server.write("reply")
                #expect(try await new.client.read() == Array("reply".utf8))
                return
            }
            Issue.record("no number was used twice")
        }
    }

    @Test("is what dropping a stream does, on the loop and elsewhere", arguments: Setting.all)
    func droppedStream(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let listener = try await TCPListener.bind("127.0.0.1", 0, on: loop)
            for _ in 0..<50 {
                let peer = try Peer(to: listener.address)
                do { _ = try await listener.accept() }
                #expect(try await onThread { try peer.receive() }.isEmpty)
            }
            let other = try Peer(to: listener.address)
            let box = Box(try await listener.accept())
            try await onThread { box.empty() }
            #expect(try await onThread { try other.receive() }.isEmpty)
        }
    }

    @Test("is what dropping a listener does", arguments: Setting.all)
    func droppedListener(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let address = try await TCPListener.bind("127.0.0.1", 0, on: loop).address
            await until {
                // From elsewhere the loop closes it soon, here at once.
                do { _ = try Peer(to: address) } catch { return (error as? IOError)?.code == .connectionRefused }
                return false
            }
            try await expectOpenSockets(0, port: address.port)
        }
    }

    @Test("is what the end of a loop does with everything that is left", arguments: Drivers.available)
    func endOfLoop(driver: DriverChoice) async throws {
        let kept = Box<(TCPListener, TCPStream)>(nil)
        let (address, peer) = try await withLoop(Setting(driver: driver, caller: .onLoop)) { loop in
            let listener = try await TCPListener.bind("127.0.0.1", 0, on: loop)
            let peer = try Peer(to: listener.address)
            let stream = try await listener.accept()
            try await stream.write("bye")
            kept.fill((listener, stream))
            return (listener.address, peer)
        }
        #expect(try await onThread { try peer.receiveAll() } == Array("bye".utf8))
        #expect(throws: IOError.self) { try Peer(to: address) }
        // The objects live on, and say what has happened.
        let (listener, stream) = try #require(kept.content)
        await #expect(throws: EventLoopError.closed("test")) { try await stream.read() }
        await #expect(throws: EventLoopError.closed("test")) { try await stream.write("x") }
        await #expect(throws: EventLoopError.closed("test")) { try await listener.accept() }
        stream.close()
        listener.close()
    }

    @Test("a second reader or writer is refused, and told who the first one is", arguments: Setting.all)
    func busy(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let (stream, peer) = try await streamWithPeer(on: loop, receiveBuffer: 4_096)
            let reader = Task(name: "Ada", executorPreference: loop) { try await stream.read() }
            async let writing: Void = stream.write([UInt8](repeating: 1, count: 16 << 20))
            await until { await loop.statistics.waitingOperations == 2 }
            let errors = [
                try await ioError { try await stream.read() },
                try await ioError { try await stream.write("x") },
                try await ioError { try await stream.closeWriting() },
            ]
            #expect(errors.map(\.code) == [.resourceBusy, .resourceBusy, .resourceBusy])
            #expect("\(errors[0])".hasPrefix("read \(stream.peer): the task Ada is at it already"))
            // Without a name, the id says which.
            #expect("\(errors[1])".hasPrefix("write \(stream.peer): the task #"))
            // The first ones are not disturbed.
            try peer.send([5])
            #expect(try await reader.value == [5])
            async let received = onThread {
                var count = 0
                while count < 16 << 20 { count += try peer.receive().count }
                return count
            }
            try await writing
            #expect(try await received == 16 << 20)
        }
    }

    @Test("by hundreds of tasks that close each other's streams leaves nothing open", arguments: Setting.all)
    func closeRaces(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let listener = try await TCPListener.bind("127.0.0.1", 0, on: loop)
            let block = Bytes.pattern(10_000)
            for _ in 0..<200 {
                let client = try await TCPStream.connect(to: listener.address, on: loop)
                let server = try await listener.accept()
                await withTaskGroup { group in
                    group.addTask { while (try? await server.read()) != nil {} }
                    group.addTask { while (try? await server.write(block)) != nil {} }
                    group.addTask { while (try? await client.read()) != nil { await Task.yield() } }
                    group.addTask {
                        await Task.yield()
                        server.close()
                    }
                }
            }
            try await expectOpenSockets(1, port: listener.address.port)
        }
    }
}

/// Holds something that one thread lets go for another.
private final class Box<Content: Sendable>: Sendable {
    private let inside: Condition<Content?>
    init(_ content: Content?) { inside = Condition(content) }
    var content: Content? { inside.withLock { $0 } }
    func fill(_ content: Content) { inside.withLock { $0 = content } }
    func empty() { inside.withLock { $0 = nil } }
}
