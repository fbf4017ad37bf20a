import AsyncIOKernel
import AsyncIOTestSupport
import CAsyncIO
import Glibc
import SystemPackage
import Testing

@testable import AsyncIO
@testable import AsyncIOLoop

/// A1, A2: descriptor numbers are used again at once; events of an earlier owner must never reach the next one.
@Suite("Events of an earlier owner of a descriptor's number", .timeLimit(.minutes(30)))
struct StaleEventTests {
    /// Adopts an end of a Unix pair: no ports, no lingering, the same number again and again.
    private static func open(on loop: EventLoop) async throws -> (TCPStream, Peer) {
        let pair = try Peer.pair()
        let peer = pair.peer
        return (try await TCPStream.adopt(pair.release(), peer: .unnamedUnix, on: loop), peer)
    }

    @Test("never reach the next one, 100,000 times while peers flood", arguments: Drivers.available)
    func flood(driver: DriverChoice) async throws {
        try await withLoop(Setting(driver: driver, caller: .onLoop)) { loop in
            var numbers: Set<CInt> = []
            var (read, ended) = (0, 0)
            // A sanitizer sees what it can see in a tenth of it.
            for round in 0..<(Sanitizer.isNone ? 100_000 : 10_000) {
                let tag = UInt8(truncatingIfNeeded: round)
                let (stream, peer) = try await Self.open(on: loop)
                numbers.insert(stream.handle.descriptor)
                // The reader waits, so that the number is registered; then its event and its close race.
                let reader = Task(executorPreference: loop) { try await stream.read(upTo: 16) }
                await Task.yield()
                // A flood in the one case; an end that nobody reads in the other.
                try peer.send([tag, tag, tag])
                if round % 3 == 0 { try peer.finishSending() }
                if round % 4 == 0 { _ = await reader.result }
                stream.close()
                switch await reader.result {
                case .success(let bytes):
                    #expect(bytes == [tag, tag, tag], "round \(round)")
                    read += 1
                case .failure(let error):
                    #expect((error as? IOError)?.code == .canceled || (error as? IOError)?.code == .badFileDescriptor)
                    ended += 1
                }
            }
            // Other tests of the process open descriptors, too: how many numbers go round is not ours to say.
            #expect(numbers.count < 10_000, "numbers were used again")
            #expect(read > 1_000 && ended > 1_000, "both ways were taken: \(read) read, \(ended) ended")
            #expect(await loop.statistics.waitingOperations == 0)
        }
    }

    @Test("never reach the next one over TCP", arguments: Setting.all)
    func overTCP(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let listener = try await TCPListener.bind("127.0.0.1", 0, on: loop)
            for round in 0..<1_500 {
                let peer = try Peer(to: listener.address)
                try peer.resetOnClose()
                let stream = try await listener.accept()
                let tag = UInt8(truncatingIfNeeded: round)
                try peer.send([tag, tag])
                if round % 2 == 0 {
                    #expect(try await stream.read(upTo: 2) == [tag, tag])
                    let waiting = Task.detached(executorPreference: setting.caller == .onLoop ? loop : nil) {
                        try await stream.read()
                    }
                    await Task.yield()
                    try peer.send([tag])
                    stream.close()
                    // The byte, or the news of the close: never another round's.
                    switch await waiting.result {
                    case .success(let bytes): #expect(bytes == [tag])
                    case .failure(let error):
                        let code = (error as? IOError)?.code
                        #expect(code == .canceled || code == .badFileDescriptor)
                    }
                }
                stream.close()
            }
            #expect(try await ioError { try await listener.accept(cancelledSoonOn: loop) }.code == .timedOut)
        }
    }

    @Test("of one batch never reach those who got their numbers in the same batch", arguments: Drivers.available)
    func sameBatch(driver: DriverChoice) async throws {
        try await withLoop(Setting(driver: driver, caller: .onLoop)) { loop in
            var reused = 0
            for _ in 0..<200 {
                let sixteen: () async throws -> [(TCPStream, Peer)] = {
                    var all: [(TCPStream, Peer)] = []
                    for _ in 0..<16 { all.append(try await Self.open(on: loop)) }
                    return all
                }
                if try await Self.exchange(sixteen(), for: sixteen, on: loop) { reused += 1 }
            }
            // Other tests take numbers, too.
            #expect(reused > 50)
        }
    }

    /// Over epoll, nothing but their generation keeps the events from the next ones.
    @Test("of one batch never reach those who were accepted under their numbers", arguments: Drivers.available)
    func sameBatchAccepted(driver: DriverChoice) async throws {
        try await withLoop(Setting(driver: driver, caller: .onLoop)) { loop in
            let listener = try await TCPListener.bind("127.0.0.1", 0, on: loop)
            var reused = 0
            for _ in 0..<60 {
                // All peers are there before a number becomes free, so that it goes to a connection.
                var peers: [Peer] = []
                for _ in 0..<32 {
                    peers.append(try Peer(to: listener.address))
                    try peers.last?.resetOnClose()
                }
                var next = 0
                let sixteen: () async throws -> [(TCPStream, Peer)] = {
                    var all: [(TCPStream, Peer)] = []
                    for _ in 0..<16 {
                        all.append((try await listener.accept(), peers[next]))
                        next += 1
                    }
                    return all
                }
                if try await Self.exchange(sixteen(), for: sixteen, on: loop) { reused += 1 }
            }
            #expect(reused > 15)
        }
    }

    /// All sixteen become ready at once. The first one that runs closes all of them, and their numbers go to sixteen
    /// others; false if none does.
    private static func exchange(
        _ old: [(TCPStream, Peer)], for new: () async throws -> [(TCPStream, Peer)], on loop: EventLoop
    ) async throws -> Bool {
        let numbers = Set(old.map { $0.0.handle.descriptor })
        let readers = old.map { pair in
            Task(executorPreference: loop) { try await pair.0.read(upTo: 1) }
        }
        await until { await loop.statistics.waitingOperations == 16 }
        for (_, peer) in old { try peer.send([1, 2, 3]) }
        _ = try await readers[0].value
        for (stream, _) in old { stream.close() }
        let new = try await new()
        let next = new.map { pair in
            Task(executorPreference: loop) { try await pair.0.read(upTo: 8) }
        }
        for _ in 0..<20 { await Task.yield() }
        #expect(await loop.statistics.waitingOperations == 16, "nobody has sent anything to the new ones")
        for (_, peer) in new { try peer.send([9]) }
        for reader in next { #expect(try await reader.value == [9]) }
        for reader in readers { _ = await reader.result }
        for (stream, _) in new { stream.close() }
        return !numbers.isDisjoint(with: new.map { $0.0.handle.descriptor })
    }

    /// The set remembers open file descriptions: one with a second descriptor, as a forked child would have it, stays.
    @Test("are silent although a copy of the descriptor stays open", arguments: Drivers.available)
    func duplicate(driver: DriverChoice) async throws {
        try await withLoop(Setting(driver: driver, caller: .onLoop)) { loop in
            let (stream, peer) = try await Self.open(on: loop)
            let reader = Task(executorPreference: loop) { try await stream.read() }
            await until { await loop.statistics.waitingOperations == 1 }
            let copy = Peer(descriptor: dup(stream.handle.descriptor))
            stream.close()
            _ = await reader.result
            let (next, nextPeer) = try await Self.open(on: loop)
            let nextReader = Task(executorPreference: loop) { try await next.read() }
            await until { await loop.statistics.waitingOperations == 1 }
            let before = await loop.statistics.polls
            try await onThread {
                for _ in 0..<100 {
                    try peer.send([1])
                    usleep(1_000)  // sleeps: so that each byte would be news of its own
                }
                try peer.finishSending()
            }
            #expect(await loop.statistics.polls - before < 30, "nobody is interested in the copy")
            #expect(await loop.statistics.waitingOperations == 1)
            try nextPeer.send([2])
            #expect(try await nextReader.value == [2])
            withExtendedLifetime(copy) {}
        }
    }

    /// Who has been told a number may have copied what it stands for; that one has to be taken out of the kernel's set.
    @Test("are taken out before the closing, unless the kernel does that by itself", arguments: [true, false])
    func forgetting(isAccepted: Bool) throws {
        let (core, source) = (DescriptorCore(), RecordingSource())
        defer { core.close() }
        unsafe core.source = source
        let (listener, address) = try Peer.listening(backlog: 4)
        let peer = try Peer(to: address)
        let token = Token(index: 0, generation: 1)
        func outcome(_ operation: AsyncIOLoop.Operation) throws -> Outcome {
            guard case .completed(let outcome) = core.submit(operation, token: token) else { throw Errno.wouldBlock }
            return outcome
        }
        let listening = Handle(rawValue: try outcome(.adopt(dup(listener.descriptor), .socket)).result)
        var connection = Handle(rawValue: try outcome(.accept(listening)).result)
        if !isAccepted {
            let number = CInt(try outcome(.disown(connection)).result)
            connection = Handle(rawValue: try outcome(.adopt(number, .socket)).result)
        }
        guard case .pending = core.submit(.receiveBytes(connection, limit: 1, .one, .array), token: token) else {
            Issue.record("nobody has sent anything")
            return
        }
        #expect(source.calls == ["watch"])
        #expect(try outcome(.close(connection, .orderly)).result == 0)
        // Other tests of this process may have forked.
        let last = isAccepted && !casyncio_has_forked() ? "forget the only copy" : "forget"
        #expect(source.calls == ["watch", last])
        withExtendedLifetime((listener, peer)) {}
    }

    /// The second line of defence, alone: an event that lay in the batch when its owner closed. Over epoll a stale one
    /// would make a connect that waits a false success.
    @Test("are dropped by their generation")
    func generation() throws {
        let driver = try EpollDriver()
        defer { driver.close() }
        let (silent, address) = try Peer.listening(backlog: 0)
        let first = try Peer(to: address)
        var (old, new) = (try Self.adopt(driver), try Self.adopt(driver))
        // Other tests take numbers, too.
        while new.descriptor != old.descriptor {
            old = new
            _ = driver.submit(.close(old, .orderly), token: Token(index: 0, generation: 1))
            new = try Self.adopt(driver)
        }
        #expect(new.generation != old.generation)
        let target = UnsafeMutablePointer<SocketAddress>.allocate(capacity: 1)
        unsafe target.initialize(to: address)
        defer { unsafe target.deallocate() }
        let connect = unsafe driver.submit(.connect(new, target), token: Token(index: 1, generation: 1))
        guard case .pending = connect else {
            Issue.record("a listener with a full queue has answered")
            return
        }
        var completions = CompletionList()
        driver.core.notice(old, Interest.readable | Interest.writable, into: &completions)
        #expect(completions.takeAll().isEmpty, "the event was the old owner's")
        driver.core.notice(new, Interest.writable, into: &completions)
        #expect(completions.takeAll().count == 1, "an event of its own ends it")
        withExtendedLifetime((silent, first)) {}
    }

    private static func adopt(_ driver: EpollDriver) throws -> Handle {
        let kind = CInt(SOCK_STREAM.rawValue) | CInt(SOCK_CLOEXEC.rawValue) | CInt(SOCK_NONBLOCK.rawValue)
        let number = CInt(try SystemCall.call("socket") { socket(AF_INET, kind, 0) })
        let token = Token(index: 0, generation: 1)
        guard case .completed(let outcome) = driver.submit(.adopt(number, .socket), token: token) else {
            throw Errno.badFileDescriptor
        }
        return Handle(rawValue: outcome.result)
    }
}

/// Writes down what it is asked.
private final class RecordingSource: ReadinessSource {
    var calls: [String] = []
    func watch(_ handle: Handle) -> Int { note("watch") }
    func watch(foreign handle: Handle, _ interest: UInt32, isWatched: Bool) -> Int { note("watch foreign") }
    func forget(_ handle: Handle) { _ = note("forget") }
    func forgetOnlyCopy(_ handle: Handle) { _ = note("forget the only copy") }
    func abandon(_ handle: Handle) { _ = note("abandon") }
    private func note(_ call: String) -> Int {
        calls.append(call)
        return 0
    }
}

extension TCPListener {
    /// Accepts, or gives up after a moment: the queue should be empty.
    fileprivate func accept(cancelledSoonOn loop: EventLoop) async throws -> TCPStream {
        let task = Task.detached(executorPreference: loop) { try await self.accept() }
        let alarm = loop.callLater(.milliseconds(20)) { task.cancel() }
        defer { alarm.cancel() }
        do {
            return try await task.value
        } catch is CancellationError {
            throw IOError(.timedOut, operation: "accept")
        }
    }
}
