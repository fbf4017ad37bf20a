import AsyncIO
import AsyncIOKernel
import AsyncIOLoop
import AsyncIOTestSupport
import AsyncIOTransports
import SystemPackage
import Testing

@Suite("Transports over real sockets and pipes")
struct SocketTransportTests {
    /// Writes so many bytes of the pattern as fast as it may, and checks what comes back.
    actor Sender: StreamProtocol {
        nonisolated let loop: EventLoop
        nonisolated let isLost = Gate()
        private let total: Int
        private let chunk: [UInt8]
        private var sent = 0
        private var transport: Transport?
        private var isPaused = false
        private(set) var checksum: UInt64 = 0xcbf2_9ce4_8422_2325
        private(set) var received = 0
        private(set) var peak = 0
        private(set) var error: (any Error)?

        init(loop: EventLoop, total: Int, chunk: [UInt8]) {
            self.loop = loop
            self.total = total
            self.chunk = chunk
        }

        func connectionMade(_ transport: Transport) {
            self.transport = transport
            send()
        }

        private func send() {
            guard let transport else { return }
            while !isPaused && sent < total {
                transport.write(chunk)
                sent += chunk.count
                peak = max(peak, transport.writeBufferSize)
            }
            if sent == total { transport.writeEOF() }
        }

        func pauseWriting() { isPaused = true }

        func resumeWriting() {
            isPaused = false
            send()
        }

        func dataReceived(_ bytes: [UInt8]) {
            // Samples, so that an unoptimized build is done some day.
            for index in stride(from: (4_099 - received % 4_099) % 4_099, to: bytes.count, by: 4_099) {
                checksum = (checksum ^ UInt64(bytes[index])) &* 0x100_0000_01b3
            }
            received += bytes.count
        }

        func connectionLost(_ error: (any Error)?) {
            self.error = error
            transport = nil
            isLost.open()
        }
    }

    /// Sends back what comes, and reads no faster than that goes.
    actor PatientEcho: StreamProtocol {
        nonisolated let loop: EventLoop
        nonisolated let peaks: Log<Int>
        private var transport: Transport?
        private var peak = 0

        init(loop: EventLoop, peaks: Log<Int>) {
            self.loop = loop
            self.peaks = peaks
        }

        func connectionMade(_ transport: Transport) { self.transport = transport }

        func dataReceived(_ bytes: [UInt8]) {
            transport?.write(bytes)
            peak = max(peak, transport?.writeBufferSize ?? 0)
        }

        func pauseWriting() { transport?.pauseReading() }
        func resumeWriting() { transport?.resumeReading() }

        func connectionLost(_ error: (any Error)?) {
            peaks.add(peak)
            transport = nil
        }
    }

    @Test("64 MiB there and back, with little kept on either side", arguments: Setting.everywhere)
    func largeEcho(_ setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let total = 64 << 20
            let chunk = Bytes.pattern(65_536)
            let peaks = Log<Int>()
            let server = try await loop.createServer("127.0.0.1", 0) { PatientEcho(loop: $0, peaks: peaks) }
            let (_, sender) = try await loop.createConnection(to: server.address) {
                Sender(loop: $0, total: total, chunk: chunk)
            }
            await sender.isLost.pass()
            server.close()
            try await server.waitClosed()
            #expect(await sender.error == nil)
            #expect(await sender.received == total)
            var expected: UInt64 = 0xcbf2_9ce4_8422_2325
            for index in stride(from: 0, to: total, by: 4_099) {
                expected = (expected ^ UInt64(chunk[index % chunk.count])) &* 0x100_0000_01b3
            }
            #expect(await sender.checksum == expected)
            // The mark, and what one write adds to it.
            #expect(await sender.peak <= WriteBufferLimits.standard.high + chunk.count)
            #expect(peaks.all.allSatisfy { $0 <= WriteBufferLimits.standard.high + 65_536 })
        }
    }

    @Test("the peer finishes first: all of its bytes come, and then all of ours arrive", arguments: Setting.all)
    func peerFinishesFirst(_ setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let reply = Bytes.pattern(1 << 20, seed: 2)
            let script = Script(eof: { transport in
                transport.write(reply)
                return false
            })
            let casting = Casting(script)
            let server = try await loop.createServer("127.0.0.1", 0) { casting.make($0) }
            let peer = try Peer(to: server.address)
            let answer = try await AsyncIOTestSupport.onThread {
                try peer.send(Bytes.pattern(1 << 20))
                try peer.finishSending()
                return try peer.receiveAll()
            }
            #expect(answer == reply)
            server.close()
            try await server.waitClosed()
            let witness = try #require(casting.all.first)
            #expect(witness.received == Bytes.pattern(1 << 20))
            #expect(
                witness.calls.filter { $0 != .pause && $0 != .resume } == [.made, .data(1 << 20), .eof, .lost(nil)])
            #expect(witness.faults == [])
        }
    }

    @Test("we finish first: the peer reads all of ours, then its end, and answers", arguments: Setting.all)
    func weFinishFirst(_ setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let ours = Bytes.pattern(4 << 20)
            let casting = Casting(
                Script(made: { transport in
                    transport.write(ours)
                    transport.writeEOF()
                }))
            let server = try await loop.createServer("127.0.0.1", 0) { casting.make($0) }
            let peer = try Peer(to: server.address)
            let received = try await AsyncIOTestSupport.onThread {
                let all = try peer.receiveAll()
                try peer.send([1, 2, 3])
                try peer.finishSending()
                return all
            }
            #expect(received == ours)
            server.close()
            try await server.waitClosed()
            #expect(casting.all.first?.received == [1, 2, 3])
            #expect(casting.all.first?.calls.last == .lost(nil))
        }
    }

    @Test("close delivers 64 MiB that wait, and then the end", arguments: Setting.all)
    func closeDelivers(_ setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let all = [UInt8](repeating: 0x5a, count: 64 << 20)
            let casting = Casting(
                Script(made: { transport in
                    transport.write(all)
                    transport.close()
                }))
            let server = try await loop.createServer("127.0.0.1", 0) { casting.make($0) }
            let peer = try Peer(to: server.address)
            let received = try await AsyncIOTestSupport.onThread {
                var count = 0
                while true {
                    let bytes = try peer.receive(upTo: 1 << 20)
                    if bytes.isEmpty { return count }
                    count += bytes.count
                }
            }
            #expect(received == all.count)
            server.close()
            try await server.waitClosed()
            #expect(casting.all.map(\.calls) == [[.made, .pause, .resume, .lost(nil)]])
        }
    }

    @Test("a peer that breaks off is a loss with ECONNRESET", arguments: Setting.all)
    func peerResets(_ setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let casting = Casting()
            let server = try await loop.createServer("127.0.0.1", 0) { casting.make($0) }
            do {
                let peer = try Peer(to: server.address)
                await casting.connected(1)
                try peer.resetOnClose()
            }
            server.close()
            try await server.waitClosed()
            let calls = try #require(casting.all.first?.calls)
            #expect(calls.count == 2)
            guard case .lost(let error?) = calls.last else {
                Issue.record("no error: \(calls)")
                return
            }
            #expect(error.contains("\(Errno.connectionReset)"))
        }
    }

    @Test("over a Unix socket pair, and over pipes", arguments: Setting.everywhere, [true, false])
    func otherStreams(_ setting: Setting, _ isPipe: Bool) async throws {
        try await withLoop(setting) { loop in
            let echo = Witness(loop: loop, .echo)
            let asker = Witness(
                loop: loop, Script(made: { $0.write("ping") }, data: { transport, _ in transport.writeEOF() }))
            if isPipe {
                let (left, right) = try await PipeStream.pair(on: loop)
                try await loop.attach(left, to: echo)
                try await loop.attach(right, to: asker)
            } else {
                let (left, right) = try await UnixStream.pair(on: loop)
                try await loop.attach(left, to: echo)
                try await loop.attach(right, to: asker)
            }
            await echo.isLost.pass()
            await asker.isLost.pass()
            expectCalls([.made, .data(4), .eof, .lost(nil)], of: echo)
            expectCalls([.made, .data(4), .eof, .lost(nil)], of: asker)
        }
    }

    @Test("a pipe that can only be written does not read", arguments: Setting.everywhere)
    func oneWay(_ setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let (reading, writing) = try await PipeStream.oneWay(on: loop)
            let writer = Witness(
                loop: loop,
                Script(made: { transport in
                    transport.pauseReading()
                    transport.write("down")
                }))
            let reader = Witness(loop: loop)
            let transport = try await loop.attach(writing, to: writer)
            try await loop.attach(reading, to: reader)
            await until { reader.count == 4 }
            transport.writeEOF()
            await reader.isLost.pass()
            expectCalls([.made, .data(4), .eof, .lost(nil)], of: reader)
            transport.close()
            await writer.isLost.pass()
            expectCalls([.made, .lost(nil)], of: writer)
        }
    }

    @Test("a thousand connections at once, each with its own echo", arguments: Setting.all)
    func thousand(_ setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let count = 1_000
            let casting = Casting(.echo, keepsBytes: false)
            let server = try await loop.createServer("127.0.0.1", 0) { casting.make($0) }
            var clients: [(transport: Transport, protocol: Witness)] = []
            for _ in 0..<count {
                clients.append(try await loop.createConnection(to: server.address) { Witness(loop: $0) })
            }
            await casting.connected(count)
            #expect(server.clients.count == count)
            for (index, client) in clients.enumerated() { client.transport.write("\(index)") }
            for (index, client) in clients.enumerated() {
                let text = Array("\(index)".utf8)
                await until { client.protocol.count == text.count }
                #expect(client.protocol.received == text)
                client.transport.writeEOF()
            }
            for client in clients { await client.protocol.isLost.pass() }
            server.close()
            try await server.waitClosed()
            #expect(casting.all.flatMap(\.faults) == [])
            #expect(server.clients.isEmpty)
            try await expectOpenSockets(0, port: server.address.port)
            try await expectOpenSockets(0, .remote, port: server.address.port)
        }
    }

    @Test("a connection made and given up again and again leaves no descriptor behind", arguments: Setting.all)
    func cancelled(_ setting: Setting) async throws {
        try await withLoop(setting, reports: Errors()) { loop in
            let casting = Casting(.echo)
            let server = try await loop.createServer("127.0.0.1", 0) { casting.make($0) }
            let made = Casting()
            for round in 0..<50 {
                let dialling = loop.submit {
                    try await loop.createConnection(to: server.address) { made.make($0) }.transport
                }
                for _ in 0..<round % 5 { await Task.yield() }
                dialling.cancel()
                // Either it throws and nothing is left, or it is there.
                if let transport = try? await dialling.value { transport.abort() }
            }
            for witness in made.all { witness.line?.abort() }
            for witness in made.all where witness.isMade.isOpen { await witness.isLost.pass() }
            server.close()
            server.abortClients()
            try await server.waitClosed()
            try await expectOpenSockets(0, port: server.address.port)
            try await expectOpenSockets(0, .remote, port: server.address.port)
        }
    }
}
