import AsyncIO
import AsyncIOKernel
import AsyncIOLoop
import AsyncIOTestSupport
import SystemPackage
import Testing

@Suite("A peer that reads slowly, or not at all", .timeLimit(.minutes(30)))
struct BackpressureTests {
    /// A16: the writer is suspended, so that nothing has to be kept for the peer.
    @Test("suspends the writer, and its cancellation ends that at once", arguments: Setting.all)
    func suspendsAndCancels(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let (stream, peer) = try await streamWithPeer(on: loop, receiveBuffer: 4_096)
            let written = Counter()
            let writer = Task.detached(executorPreference: setting.caller == .onLoop ? loop : nil) {
                while true {
                    try await stream.write([UInt8](repeating: 7, count: 65_536))
                    written.add(65_536)
                }
            }
            // The kernel's buffers grow for a while. Were nothing to stop the writer, the watchdog would.
            var last = -1
            while await loop.statistics.waitingOperations == 0 || written.value != last {
                last = written.value
                try await loop.sleep(for: .milliseconds(100))
            }
            #expect(last < 64 << 20, "no more than the kernel's buffers")
            let before = Instant.monotonicNow
            writer.cancel()
            guard case .failure(let error) = await writer.result else { return }
            #expect(error is CancellationError)
            #expect(before.duration(to: .monotonicNow) < .seconds(5))
            #expect(await loop.statistics.waitingOperations == 0)
            withExtendedLifetime(peer) {}
        }
    }

    @Test("lets the writer go on as it reads, and gets every byte", arguments: Setting.all)
    func resumes(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let (stream, peer) = try await streamWithPeer(on: loop, receiveBuffer: 4_096)
            let sent = Bytes.pattern(24 << 20)
            async let writing: Void = stream.write(sent)
            await until { await loop.statistics.waitingOperations > 0 }
            async let received = onThread {
                var all: [UInt8] = []
                while all.count < sent.count { all += try peer.receive(upTo: 1_000_003) }
                return all
            }
            try await writing
            #expect(try await received == sent)
        }
    }

    @Test("does not keep a reader from reading", arguments: Setting.all)
    func otherDirection(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let (stream, peer) = try await streamWithPeer(on: loop, receiveBuffer: 4_096)
            let writer = Task.detached(executorPreference: setting.caller == .onLoop ? loop : nil) {
                try await stream.write([UInt8](repeating: 7, count: 32 << 20))
            }
            await until { await loop.statistics.waitingOperations > 0 }
            for round in 0..<200 {
                try peer.send([UInt8(truncatingIfNeeded: round)])
                #expect(try await stream.read() == [UInt8(truncatingIfNeeded: round)])
            }
            writer.cancel()
            _ = await writer.result
        }
    }

    @Test("costs one short write where the kernel takes little at a time", arguments: Setting.all)
    func smallPieces(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let (stream, peer) = try await streamWithPeer(on: loop, receiveBuffer: 2_048)
            let sent = Bytes.pattern(6 << 20)
            async let received = onThread {
                var all: [UInt8] = []
                while all.count < sent.count { all += try peer.receive(upTo: 9_001) }
                return all
            }
            var offset = 0
            var generator = Randomness(seed: 42)
            while offset < sent.count {
                let end = min(offset + Int.random(in: 1...100_000, using: &generator), sent.count)
                try unsafe await stream.write(sent.span.bytes.extracting(offset..<end))
                offset = end
            }
            #expect(try await received == sent)
        }
    }
}
