import AsyncIO
import AsyncIOKernel
import AsyncIOLoop
import AsyncIOTestSupport
import SystemPackage
import Testing

/// A4: what nobody waits for must not keep the loop turning.
@Suite("A loop with nothing to do is quiet", .timeLimit(.minutes(30)))
struct QuietTests {
    enum News: String, CaseIterable { case reset, end, data, flood }

    @Test("although a peer has sent news that nobody reads", arguments: Setting.all, News.allCases)
    func unread(setting: Setting, news: News) async throws {
        try await withLoop(setting) { loop in
            var kept: [(TCPStream, Peer)] = []
            for _ in 0..<20 {
                let (stream, peer) = try await streamWithPeer(on: loop)
                // A reader that had to wait has registered the descriptor.
                async let reading = stream.read()
                await until { await loop.statistics.waitingOperations == 1 }
                try peer.send([1])
                #expect(try await reading == [1])
                kept.append((stream, peer))
            }
            for (_, peer) in kept {
                switch news {
                case .reset: try peer.resetOnClose()
                case .end: try peer.finishSending()
                case .data: try peer.send([2])
                case .flood: try peer.send([UInt8](repeating: 2, count: 50_000))
                }
            }
            let streams = kept.map(\.0)
            if news == .reset { kept.removeAll() }
            let before = await loop.statistics
            // An interval, in which hardly anything may happen.
            for _ in 0..<5 { try await loop.sleep(for: .milliseconds(60)) }
            let after = await loop.statistics
            #expect(after.polls - before.polls < 20 + 40, "\(news.rawValue): one event for each is enough")
            // The news is not lost.
            for stream in streams {
                switch news {
                case .reset:
                    #expect(try await ioError { try await stream.read() }.code == .connectionReset)
                case .end: #expect(try await stream.read() == nil)
                case .data: #expect(try await stream.read() == [2])
                case .flood: #expect(try await stream.readExactly(50_000).count == 50_000)
                }
            }
        }
    }

    @Test("although a writer waits while the peer floods us, and a reader while we could write", arguments: Setting.all)
    func oneDirection(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let (stream, peer) = try await streamWithPeer(on: loop, receiveBuffer: 4_096)
            let writer = Task.detached(executorPreference: setting.caller == .onLoop ? loop : nil) {
                try await stream.write([UInt8](repeating: 1, count: 32 << 20))
            }
            let (idle, idlePeer) = try await streamWithPeer(on: loop)
            let reader = Task.detached(executorPreference: setting.caller == .onLoop ? loop : nil) {
                try await idle.read()
            }
            await until { await loop.statistics.waitingOperations == 2 }
            try peer.send([UInt8](repeating: 2, count: 30_000))
            try await loop.sleep(for: .milliseconds(100))
            let before = await loop.statistics
            for _ in 0..<5 { try await loop.sleep(for: .milliseconds(60)) }
            let after = await loop.statistics
            #expect(after.polls - before.polls < 40)
            writer.cancel()
            reader.cancel()
            _ = await (writer.result, reader.result)
            withExtendedLifetime(idlePeer) {}
        }
    }

    /// C4: a job that always finds data takes its turn like the others.
    @Test("and one that is flooded still serves the others in time", arguments: Drivers.available)
    func fairness(driver: DriverChoice) async throws {
        try await withLoop(Setting(driver: driver, caller: .onLoop)) { loop in
            let flooded = try await Connection(on: loop)
            let other = try await Connection(on: loop)
            let block = [UInt8](repeating: 3, count: 65_536)
            let writer = Task(executorPreference: loop) { while true { try await flooded.client.write(block) } }
            let reader = Task(executorPreference: loop) {
                var count = 0
                while let bytes = try? await flooded.server.read() { count += bytes.count }
                return count
            }
            let echo = Task(executorPreference: loop) {
                while let bytes = try await other.server.read() { try await other.server.write(bytes) }
            }
            // Operations that never wait are the worst case.
            let spinner = Task(executorPreference: loop) { while await other.client.local != nil {} }
            var worst = Duration.zero
            for _ in 0..<20 {
                let due = loop.now.advanced(by: .milliseconds(10))
                try await loop.sleep(for: .milliseconds(10))
                worst = max(worst, due.duration(to: loop.now))
                try await other.client.write([7])
                #expect(try await other.client.read() == [7])
            }
            let bound = Duration.milliseconds(Sanitizer.isNone ? 500 : 10_000)
            #expect(worst < bound, "a timer of 10 ms was \(worst) late")
            writer.cancel()
            reader.cancel()
            other.client.close()
            await spinner.value
            _ = await writer.result
            _ = await echo.result
            #expect(await reader.value > 1 << 20, "the flooded one worked as well")
        }
    }
}
