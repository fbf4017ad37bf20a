import AsyncIO
import AsyncIOKernel
import AsyncIOTestSupport
import CAsyncIO
import Glibc
import SystemPackage
import Testing

@testable import AsyncIOLoop

/// Runs a body on a loop over a ring of the test's own.
func withRing<Success: Sendable>(
    _ name: String = #function, _ layout: UringDriver.Layout = .init(), fairness: Fairness = Fairness(),
    _ body: @escaping @Sendable (EventLoop, UringDriver) async throws -> Success
) async throws -> Success {
    try await Watchdog.onThread(name) {
        let driver = try UringDriver(layout)
        let runner = try EventLoop.Runner(options: .guest(.uring, name: "ring", fairness: fairness), driver: driver)
        defer { runner.close() }
        let (loop, shared) = (runner.loop, Unchecked(driver))
        return try runner.run { try await body(loop, shared.value) }
    }
}

/// Carries a driver into the body that runs on its thread.
private struct Unchecked<Value>: @unchecked Sendable {
    let value: Value
    init(_ value: Value) { self.value = value }
}

@Suite("What the ring receives by itself", hasUring)
struct FeedTests {
    @Test("comes in order and whole, whatever its pieces and whenever its reader comes", arguments: Randomness.seeds)
    func order(seed: UInt64) async throws {
        var layout = UringDriver.Layout()
        // So small that messages fill buffers, and that there are none left now and then.
        (layout.buffers, layout.bytesPerBuffer) = (4, 256)
        try await withRing("order", layout) { loop, _ in
            var random = Randomness(seed: seed)
            let (stream, peer) = try await streamWithPeer(on: loop)
            let count = 200_000
            let pieces = (0..<2_000).map { _ in Int.random(in: 1...300, using: &random) }
            async let sending: Void = onThread {
                let bytes = Bytes.pattern(count)
                var sent = 0
                for piece in pieces where sent < count {
                    try peer.send(Array(bytes[sent..<min(sent + piece, count)]))
                    sent = min(sent + piece, count)
                }
                try peer.send(Array(bytes[sent...]))
                try peer.finishSending()
            }
            var received = 0
            while let bytes = try await stream.read(upTo: .random(in: 1...700, using: &random)) {
                #expect(Bytes.difference(bytes, at: received) == nil, "seed \(seed)")
                received += bytes.count
                for _ in 0..<Int.random(in: 0...3, using: &random) { await EventLoop.yield() }
            }
            #expect(received == count, "seed \(seed)")
            try await sending
            stream.close()
        }
    }

    @Test("a reader who does not come is sent no more than a little, and gets everything when it does")
    func backpressure() async throws {
        try await withRing { loop, driver in
            let (stream, peer) = try await streamWithPeer(on: loop)
            try peer.send([1])
            #expect(try await stream.read() == [1])
            // The ring receives from here on.
            let waiting = Task.detached(executorPreference: loop) { try await stream.read(upTo: 1) }
            await until { await loop.statistics.waitingOperations == 1 }
            let count = 16 << 20
            async let sending: Void = onThread {
                let bytes = Bytes.pattern(count)
                // As small as a message is, so that each one comes by itself.
                var sent = 0
                while sent < count {
                    try peer.send(Array(bytes[sent..<min(sent + 900, count)]))
                    sent += 900
                }
                try peer.finishSending()
            }
            #expect(try await waiting.value == [Bytes.byte(0)])
            let handle = CInt(try #require(driver.core.sockets.firstAdopted { $0.canBeFed || $0.isFed }))
            // The ring has been told to stop, and has.
            await until { !driver.core.sockets[Int(handle)].feedIsOpen }
            #expect(driver.core.stored[handle]?.left ?? 0 <= 256 << 10, "the driver has gone on receiving")
            var received = 1
            while let bytes = try await stream.read() {
                #expect(Bytes.difference(bytes, at: received) == nil)
                received += bytes.count
            }
            #expect(received == count)
            try await sending
        }
    }

    @Test("a thousand connections share four buffers: every message arrives, and all buffers are the kernel's again")
    func fewBuffers() async throws {
        var layout = UringDriver.Layout()
        (layout.buffers, layout.bytesPerBuffer) = (4, 64)
        (layout.submissions, layout.completions) = (32, 64)
        try await withRing("fewBuffers", layout) { loop, driver in
            let listener = try await TCPListener.bind("127.0.0.1", 0, on: loop)
            let rounds = 5
            var streams: [TCPStream] = []
            var peers: [Peer] = []
            for _ in 0..<1_000 {
                peers.append(try Peer(to: listener.address))
                streams.append(try await listener.accept())
            }
            let readers = streams.enumerated().map { index, stream in
                Task.detached(executorPreference: loop) {
                    for round in 0..<rounds {
                        var bytes: [UInt8] = []
                        while bytes.count < 40, let more = try await stream.read(upTo: 40 - bytes.count) {
                            bytes += more
                        }
                        #expect(Bytes.difference(bytes, at: round * 40, seed: UInt64(index)) == nil)
                        #expect(bytes.count == 40)
                    }
                }
            }
            for round in 0..<rounds {
                for (index, peer) in peers.enumerated() {
                    let all = Bytes.pattern((round + 1) * 40, seed: UInt64(index))
                    try peer.send(Array(all[(round * 40)...]))
                }
                await EventLoop.yield()
            }
            for reader in readers { try await reader.value }
            #expect(driver.buffers.provided == 4)
            for stream in streams { stream.close() }
            listener.close()
        }
    }

    @Test(
        "a cancelled read takes nothing: ten thousand at random moments, and not one byte is lost", arguments: [0, 1])
    func cancels(seed: UInt64) async throws {
        let rounds = Stress.count("cancelled reads", few: 10_000, many: 1_000_000)
        try await withRing { loop, _ in
            var random = Randomness(seed: seed)
            let (stream, peer) = try await streamWithPeer(on: loop)
            let stop = Gate()
            async let sending = onThread {
                var (sent, random) = (0, Randomness(seed: seed))
                while !stop.isOpen {
                    let piece = Int.random(in: 1...64, using: &random)
                    try peer.send((sent..<sent + piece).map { Bytes.byte($0) })
                    sent += piece
                }
                try peer.finishSending()
                return sent
            }
            var received = 0
            for _ in 0..<rounds {
                let read = Task.detached(executorPreference: loop) { try await stream.read(upTo: 64) }
                for _ in 0..<Int.random(in: 0...3, using: &random) { await EventLoop.yield() }
                read.cancel()
                if let bytes = try? await read.value {
                    #expect(Bytes.difference(bytes, at: received) == nil)
                    received += bytes.count
                }
            }
            stop.open()
            while let bytes = try await stream.read() {
                #expect(Bytes.difference(bytes, at: received) == nil)
                received += bytes.count
            }
            #expect(received == (try await sending))
        }
    }

    @Test("what was received ahead goes with the splice that follows, and not to whom the descriptor is given")
    func otherCalls() async throws {
        try await withRing { loop, driver in
            let (stream, peer) = try await streamWithPeer(on: loop)
            let waiting = Task.detached(executorPreference: loop) { try await stream.read(upTo: 1) }
            await until { await loop.statistics.waitingOperations == 1 }
            try peer.send([1, 2, 3])
            #expect(try await waiting.value == [1])
            let number = CInt(try #require(driver.core.sockets.firstAdopted { $0.isFed }))
            let handle = Handle(descriptor: number, generation: driver.core.sockets[Int(number)].generation)
            #expect(loop.performNow(.disown(handle))?.result == Errno.resourceBusy.negated)
            let (reader, writer) = try SystemCall.pipe()
            #expect(await loop.perform(.spliceIn(handle, pipe: writer, count: 100)).result == 2)
            #expect(try SystemCall.bytes(of: reader, count: 10) == [2, 3])
            try peer.send([4])
            #expect(try await stream.read() == [4])
            #expect(loop.performNow(.disown(handle))?.result == Int(number))
            for end in [reader, writer, number] { _ = SystemCall.close(end) }
        }
    }

    @Test("of a connection that is read in small pieces, one message behind, little is kept")
    func smallReads() async throws {
        try await withRing { loop, driver in
            let (stream, peer) = try await streamWithPeer(on: loop)
            let first = Task.detached(executorPreference: loop) { try await stream.read(upTo: 64) }
            await until { await loop.statistics.waitingOperations == 1 }
            try peer.send(Bytes.pattern(100))
            #expect(try await first.value == Bytes.pattern(64))
            let number = CInt(try #require(driver.core.sockets.firstAdopted { $0.isFed }))
            var (sent, received) = (100, 64)
            for _ in 0..<1_000 {
                try peer.send((sent..<sent + 64).map { Bytes.byte($0) })
                sent += 64
                await until { (driver.core.stored[number]?.left ?? 0) >= sent - received }
                let bytes = try #require(try await stream.read(upTo: 64))
                #expect(Bytes.difference(bytes, at: received) == nil)
                received += bytes.count
            }
            #expect(driver.core.stored[number]?.bytes.count ?? 0 < 8_192)
        }
    }

    @Test("data and the reset that follows at once are both told")
    func brokenOff() async throws {
        try await withRing { loop, _ in
            for _ in 0..<50 {
                let listener = try await TCPListener.bind("127.0.0.1", 0, on: loop)
                var peers = [try Peer(to: listener.address)]
                let stream = try await listener.accept()
                let waiting = Task.detached(executorPreference: loop) { try await stream.read() }
                await until { await loop.statistics.waitingOperations == 1 }
                // In one turn: the loop does not enter the kernel meanwhile.
                try peers[0].send([1])
                try peers[0].resetOnClose()
                peers.removeAll()
                #expect(try await waiting.value == [1])
                #expect(try await ioError { try await stream.read() }.code == .connectionReset)
                stream.close()
                listener.close()
            }
        }
    }

    @Test("a listener's port is free when it has been closed, however many connections have something to say")
    func closeUnderLoad() async throws {
        try await withRing { loop, _ in
            // Another test may take the port meanwhile, or start a child, which has copies of all descriptors until its
            // program begins. That does not happen every time; what the loop itself keeps, it always keeps.
            var isFree = false
            for _ in 0..<5 where !isFree { isFree = try await Self.closeUnderLoad(on: loop) }
            #expect(isFree)
        }
    }

    /// Whether the port can be had again at once.
    private static func closeUnderLoad(on loop: EventLoop) async throws -> Bool {
        let listener = try await TCPListener.bind("127.0.0.1", 0, on: loop)
        let address = listener.address
        let accepting = Task.detached(executorPreference: loop) { try await listener.accept() }
        await until { await loop.statistics.waitingOperations == 1 }
        var pairs: [(stream: TCPStream, peer: Peer, read: Task<[UInt8]?, any Error>)] = []
        for _ in 0..<200 {
            let (stream, peer) = try await streamWithPeer(on: loop)
            let read = Task.detached(executorPreference: loop) { try await stream.read() }
            pairs.append((stream, peer, read))
        }
        await until { await loop.statistics.waitingOperations == 201 }
        for pair in pairs { try pair.peer.send([1, 2, 3]) }
        listener.close()
        let again: TCPListener?
        do {
            again = try await TCPListener.bind("127.0.0.1", address.port ?? 0, on: loop)
            #expect(again?.address == address)
        } catch let error as IOError where error.code == .addressInUse {
            again = nil
        }
        await #expect(throws: IOError.self) { try await accepting.value }
        for pair in pairs {
            #expect(try await pair.read.value == [1, 2, 3])
            pair.stream.close()
        }
        again?.close()
        return again != nil
    }

    @Test("a loop ends although a stream that nobody reads from was written to until it was full")
    func endsWithFullStream() async throws {
        let kept = Locked<[(TCPStream, Peer)]>([])
        try await withRing { loop, _ in
            let (stream, peer) = try await streamWithPeer(on: loop)
            kept.withLock { $0.append((stream, peer)) }
            let writing = Task.detached(executorPreference: loop) {
                try await stream.write([UInt8](repeating: 1, count: 64 << 20))
            }
            await until { await loop.statistics.waitingOperations == 1 }
            writing.cancel()
            await #expect(throws: CancellationError.self) { try await writing.value }
        }
        // Its driver has closed the descriptor.
        #expect(try kept.withLock { try $0[0].1.receive(upTo: 1) } == [1])
        kept.withLock { $0 = [] }
    }

    @Test("messages that take a buffer each come as well")
    func wholeBuffers() async throws {
        try await Watchdog.onThread("wholeBuffers") {
            let ring = try Ring(submissions: 8, completions: 64)
            defer { ring.close() }
            try ring.enable()
            let buffers = try ReceiveBuffers(count: 4, bytesPerBuffer: 16, inPortions: false, ring: ring)
            let pair = try SocketPair()
            var entry = casyncio_submission.receive(pair.right.number)
            entry.user_data = 1
            ring.submit(entry)
            var received: [UInt8] = []
            for round in 0..<100 {
                let bytes = Bytes.pattern((round + 1) * 20).suffix(20)
                let sent = unsafe bytes.withUnsafeBytes { memory in
                    unsafe SystemCall.send(pair.left.number, memory.baseAddress, memory.count)
                }
                #expect(sent == 20)
                while received.count < (round + 1) * 20 {
                    _ = ring.enter(awaiting: 1, nanoseconds: 1_000_000_000)
                    while let completion = ring.next() {
                        let id = try #require(completion.buffer)
                        #expect(completion.hasMore && !completion.leavesBuffer)
                        unsafe received.append(contentsOf: buffers.take(id, Int(completion.result), isLast: true))
                        buffers.giveBack(id)
                    }
                }
            }
            #expect(received == Bytes.pattern(2_000))
            #expect(buffers.provided == 4)
        }
    }

    @Test("more waits than the queue has places may begin before the loop has ever waited")
    func manyAtOnce() async throws {
        var layout = UringDriver.Layout()
        (layout.submissions, layout.completions) = (4, 8)
        try await withRing("manyAtOnce", layout) { loop, _ in
            let pairs = try (0..<40).map { _ in try SystemCall.eventDescriptor("a test's").release() }
            // The body's first turn: the driver has not been asked for anything yet.
            let waits = pairs.map { number in
                Task.detached(executorPreference: loop) { try await loop.waitReadable(number) }
            }
            for wait in waits { wait.cancel() }
            for wait in waits { await #expect(throws: CancellationError.self) { try await wait.value } }
            for number in pairs { _ = SystemCall.close(number) }
        }
    }

    @Test("a close with a receive under way sends the end at once, and gives the number and the port back")
    func closes() async throws {
        try await withRing { loop, _ in
            let listener = try await TCPListener.bind("127.0.0.1", 0, on: loop)
            let address = listener.address
            let peer = try Peer(to: address)
            let stream = try await listener.accept()
            let waiting = Task.detached(executorPreference: loop) { try await stream.read() }
            let accepting = Task.detached(executorPreference: loop) { try await listener.accept() }
            await until { await loop.statistics.waitingOperations == 2 }
            stream.close()
            // In the same turn, without the loop's help.
            #expect(try peer.receive().isEmpty)
            listener.close()
            let again = try await TCPListener.bind("127.0.0.1", address.port ?? 0, on: loop)
            #expect(again.address == address)
            await #expect(throws: IOError.self) { try await waiting.value }
            await #expect(throws: IOError.self) { try await accepting.value }
            again.close()
        }
    }
}

extension StableTable<SocketState> {
    /// The first descriptor of ours that a condition is true of.
    fileprivate func firstAdopted(_ condition: (SocketState) -> Bool) -> Int? {
        (0..<count).first { self[$0].isAdopted && condition(self[$0]) }
    }
}
