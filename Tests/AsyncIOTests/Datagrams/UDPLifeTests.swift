import AsyncIO
import AsyncIOKernel
import AsyncIOLoop
import AsyncIOTestSupport
import SystemPackage
import Testing

@Suite("Tasks at a UDP socket", .timeLimit(.minutes(30)))
struct UDPLifeTests {
    @Test("that are cancelled while they receive lose no datagram", arguments: Setting.everywhere)
    func cancelledReceives(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let roomy = UDPOptions { $0.receiveBuffer = 4 << 20 }
            let server = try await UDPSocket.bind("127.0.0.1", 0, options: roomy, on: loop)
            let client = try await UDPSocket.connect(to: server.local, on: loop)
            let rounds = 300
            var random = Randomness()
            var received: [UInt16] = []
            var cancelled = 0
            for round in 0..<rounds {
                let kind = random.next() % 3
                let task = Task<[[UInt8]], any Error>(executorPreference: loop) {
                    switch kind {
                    case 0: return [try await server.receive().bytes]
                    case 1: return try await server.receiveBatch(upTo: 8).map(\.bytes)
                    default:
                        var buffer = IOBuffer(capacity: 100)
                        _ = try await server.receive(into: &buffer)
                        return [buffer.withBytes { unsafe $0.withUnsafeBytes { unsafe [UInt8]($0) } }]
                    }
                }
                for _ in 0..<(random.next() % 6) { await Task.yield() }
                let moment = random.next() % 3
                if moment == 0 { task.cancel() }
                async let sending: Void = client.send([UInt8(round >> 8), UInt8(round & 255)])
                for _ in 0..<(random.next() % 8) { await Task.yield() }
                if moment == 1 { task.cancel() }
                try await sending
                do {
                    received += try await task.value.map { UInt16($0[0]) << 8 | UInt16($0[1]) }
                } catch is CancellationError {
                    cancelled += 1
                }
            }
            // How many is a matter of load; the first cancellation before a send, and any send without one, is certain.
            #expect(cancelled > 0 && cancelled < rounds, "both ways")
            while received.count < rounds {
                received.append(
                    contentsOf: try await server.receiveBatch().map { UInt16($0.bytes[0]) << 8 | UInt16($0.bytes[1]) })
            }
            #expect(received == (0..<UInt16(rounds)).map { $0 }, "\(random.note)")
        }
    }

    @Test("that are cancelled already neither send nor receive", arguments: Setting.everywhere)
    func cancelledBefore(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let socket = try await UDPSocket.bind("127.0.0.1", 0, on: loop)
            try await socket.send([1], to: socket.local)
            let gate = Gate()
            let task = Task(executorPreference: loop) {
                await gate.pass()
                await #expect(throws: CancellationError.self) { _ = try await socket.receive() }
                await #expect(throws: CancellationError.self) { _ = try await socket.receiveBatch() }
                await #expect(throws: CancellationError.self) { try await socket.send([2], to: socket.local) }
                await #expect(throws: CancellationError.self) {
                    _ = try await socket.sendBatch([[2]], to: socket.local)
                }
            }
            task.cancel()
            gate.open()
            await task.value
            #expect(try await socket.receive().bytes == [1])
            #expect(try await socket.receiveOrNothing() == nil)
        }
    }

    @Test("receive one at a time, and the second learns the first one's name", arguments: Setting.everywhere)
    func rivals(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let socket = try await UDPSocket.bind("127.0.0.1", 0, on: loop)
            let begun = Gate()
            let first = Task(name: "the listener", executorPreference: loop) {
                begun.open()
                return try await socket.receive()
            }
            // Whoever comes first waits, and a simulation draws who that is.
            await begun.pass()
            var rival: IOError?
            try await until {
                // Until the first one waits, this one would: somebody has to send.
                let probe = Task(executorPreference: loop) { try await socket.receive() }
                for _ in 0..<20 { await Task.yield() }
                probe.cancel()
                do { _ = try await probe.value } catch let error as IOError { rival = error } catch is CancellationError
                {}
                return rival != nil
            }
            #expect(
                rival?.code == .resourceBusy && rival?.description.contains("the listener") == true,
                "\(String(describing: rival))")
            try await socket.send([1], to: socket.local)
            #expect(try await first.value.bytes == [1])
        }
    }

    @Test("are told when it is closed, and loops over its datagrams end", arguments: Setting.everywhere)
    func closed(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            for isLoop in [true, false] {
                let socket = try await UDPSocket.bind("127.0.0.1", 0, on: loop)
                let begun = Gate()
                let task = Task(executorPreference: loop) {
                    guard isLoop else {
                        begun.open()
                        return try await ioError { try await socket.receive() }.code
                    }
                    for try await datagram in socket {
                        #expect(datagram.bytes == [1])
                        begun.open()
                    }
                    return Errno(rawValue: 0)
                }
                if isLoop { try await socket.send([1], to: socket.local) }
                await begun.pass()
                for _ in 0..<20 { await Task.yield() }
                socket.close()
                socket.close()
                let code = try await task.value
                #expect(isLoop ? code.rawValue == 0 : code == .canceled || code == .badFileDescriptor)
                for try await _ in socket.datagrams { Issue.record("a datagram of a closed socket") }
                let error = try await ioError { try await socket.receive() }
                #expect(error.code == .badFileDescriptor && error.description.contains("closed"))
                #expect(try await ioError { try await socket.send([1], to: socket.local) }.code == .badFileDescriptor)
                #expect(
                    try await ioError { try await socket.sendBatch([[1]], to: socket.local) }.code == .badFileDescriptor
                )
            }
        }
    }

    @Test("close it by letting go", arguments: Setting.everywhere)
    func letGo(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let probe = try await UDPSocket.bind("127.0.0.1", 0, on: loop)
            var socket: UDPSocket? = try await UDPSocket.bind("127.0.0.1", 0, on: loop)
            let address = try #require(socket?.local)
            #expect(try await probe.isOpen(address))
            socket = nil
            try await until { try await !probe.isOpen(address) }
        }
    }

    @Test("may all send, also when there is no room", arguments: Setting.everywhere)
    func manySenders(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let server = try await UDPSocket.bind(
                "127.0.0.1", 0, options: UDPOptions { $0.receiveBuffer = 4 << 20 }, on: loop)
            let client = try await UDPSocket.bind("127.0.0.1", 0, options: UDPOptions { $0.sendBuffer = 1 }, on: loop)
            try await withThrowingDiscardingTaskGroup { group in
                for number in 0..<20 {
                    group.addTask(executorPreference: loop) {
                        for _ in 0..<10 {
                            try await client.send([UInt8](repeating: UInt8(number), count: 1_000), to: server.local)
                        }
                        let sent = try await client.sendBatch(
                            Array(repeating: [UInt8(number)], count: 10), to: server.local)
                        #expect(sent.sent == 10 && sent.isComplete)
                    }
                }
            }
            var counts = [Int](repeating: 0, count: 20)
            for _ in 0..<400 { counts[Int(try await server.receive().bytes[0])] += 1 }
            #expect(counts == [Int](repeating: 20, count: 20))
        }
    }

    @Test("that iterate may begin again after an error", arguments: Setting.everywhere)
    func iterateAgain(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let server = try await UDPSocket.bind("127.0.0.1", 0, on: loop)
            let client = try await UDPSocket.connect(to: server.local, on: loop)
            server.close()
            try await until { try await !client.isOpen(server.local) }
            try await client.send([1])
            let error = try await ioError { for try await _ in client {} }
            #expect(error.code == .connectionRefused)
            let back = try await UDPSocket.bind(to: server.local, on: loop)
            try await back.send([2], to: client.local)
            for try await datagram in client.datagrams(upTo: 10) {
                #expect(datagram.bytes == [2])
                break
            }
        }
    }
}
