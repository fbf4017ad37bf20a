import AsyncIOKernel
import AsyncIOTestSupport
import Glibc
import SystemPackage
import Testing

@testable import AsyncIOLoop

@Suite("Memory that is lent to the kernel", hasUring)
struct LentMemoryTests {
    /// A page of its own for each read, which nobody may touch once the read has ended: a late write of the kernel
    /// would be told as EFAULT, and its bytes would be missing.
    @Test("is free when the operation has ended, also if it was cancelled; no byte gets lost", arguments: [0, 1])
    func cancels(seed: UInt64) async throws {
        let rounds = Stress.count("cancelled reads", few: 10_000, many: 1_000_000)
        try await withRing { loop, driver in
            var random = Randomness(seed: seed)
            let (reader, writer) = try SystemCall.pipe()
            // Blocking, as a file is: it is the ring that waits.
            #expect(fcntl(reader, F_SETFL, 0) == 0)
            let page = 4096
            let pages = 16
            let memory = unsafe try #require(
                mmap(nil, pages * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0))
            defer { unsafe munmap(memory, pages * page) }
            var (sent, received, cancelled) = (0, 0, 0)
            for round in 0..<rounds {
                let place = unsafe memory + (round % pages) * page
                unsafe mprotect(place, page, PROT_READ | PROT_WRITE)
                let room = unsafe Room(UnsafeMutableRawBufferPointer(start: place, count: 8))
                let read = Task.detached(executorPreference: loop) {
                    unsafe await loop.perform(.file(.read(reader, into: room.memory, at: nil)))
                }
                let writes = Bool.random(using: &random)
                let turns = Int.random(in: 0...2, using: &random)
                for _ in 0..<turns { await EventLoop.yield() }
                if writes {
                    let count = Int.random(in: 1...8, using: &random)
                    let bytes = (sent..<sent + count).map { Bytes.byte($0) }
                    #expect(
                        unsafe bytes.withUnsafeBytes { unsafe SystemCall.write(writer, $0.baseAddress, count) } == count
                    )
                    sent += count
                }
                if Bool.random(using: &random) || !writes { read.cancel() }
                let outcome = await read.value
                if outcome.result > 0 {
                    let bytes = unsafe [UInt8](room.memory.prefix(outcome.result))
                    #expect(Bytes.difference(bytes, at: received) == nil, "seed \(seed)")
                    received += outcome.result
                } else {
                    #expect(outcome.result == Errno.canceled.negated)
                    cancelled += 1
                }
                unsafe mprotect(place, page, PROT_NONE)
            }
            _ = SystemCall.close(writer)
            while true {
                let rest = try SystemCall.bytes(of: reader, count: 4096)
                if rest.isEmpty { break }
                #expect(Bytes.difference(rest, at: received) == nil, "seed \(seed)")
                received += rest.count
            }
            #expect(received == sent && cancelled > 0, "seed \(seed)")
            #expect(driver.flights.count <= 2, "nothing is under way but the wake-up")
            _ = SystemCall.close(reader)
        }
    }

    @safe
    private struct Room: @unchecked Sendable {
        let memory: UnsafeMutableRawBufferPointer
        init(_ memory: UnsafeMutableRawBufferPointer) { unsafe self.memory = memory }
    }

    @Test("a loop that ends waits for reads and writes of files that the kernel carries out")
    func ending() async throws {
        let (reader, writer) = try SystemCall.pipe()
        #expect(fcntl(reader, F_SETFL, 0) == 0)
        let started = Gate()
        try await withRing { loop, _ in
            loop.spawn {
                let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: 8, alignment: 1)
                defer { unsafe memory.deallocate() }
                started.open()
                _ = unsafe await loop.perform(.file(.read(reader, into: memory, at: nil)))
            }
            await until { started.isOpen }
            await until { await loop.statistics.waitingOperations == 1 }
        }
        for end in [reader, writer] { _ = SystemCall.close(end) }
    }
}
