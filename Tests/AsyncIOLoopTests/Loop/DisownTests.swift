import AsyncIOKernel
import AsyncIOTestSupport
import Glibc
import SystemPackage
import Testing

@testable import AsyncIOLoop

@Suite("Taking a descriptor out of a loop's care")
struct DisownTests {
    @Test("gives the open descriptor back, and its handle reaches nothing any more", arguments: Drivers.available)
    func givesBack(driver: DriverChoice) async throws {
        try await Guest.run(.guest(driver)) { loop in
            let pair = try Peer.pair()
            let peer = pair.peer
            let number = pair.release().release()
            let handle = Handle(rawValue: await loop.perform(.adopt(number, .socket)).result)
            // A read that had to wait has registered it.
            async let reading = loop.perform(.receiveBytes(handle, limit: 8, .one))
            await until { await loop.statistics.waitingOperations == 1 }
            #expect(await loop.perform(.disown(handle)).result == Errno.resourceBusy.negated, "a read is under way")
            try peer.send([1])
            #expect(await reading.bytes == [1])
            #expect(await loop.perform(.disown(handle)).result == Int(number))
            #expect(await loop.perform(.disown(handle)).result == Errno.badFileDescriptor.negated)
            let late = await loop.perform(.receiveBytes(handle, limit: 8, .one))
            #expect(late.result == Errno.badFileDescriptor.negated)
            // It is as it was, and another loop can have it.
            try peer.send([2])
            let other = try LoopThread(options: .guest(driver))
            let there = Handle(rawValue: await other.loop.perform(.adopt(number, .socket)).result)
            #expect(await other.loop.perform(.receiveBytes(there, limit: 8, .one)).bytes == [2])
            await other.shutdown()
            #expect(try await onThread { try peer.receive() }.isEmpty, "closed by its last owner")
        }
    }
}
