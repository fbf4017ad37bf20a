import AsyncIOKernel
import AsyncIOTestSupport
import SystemPackage
import Testing

@testable import AsyncIOLoop

/// Between the start of an operation and the wait for it the compiler may put a visit to an actor's executor.
@Suite("An operation that ends before its task waits for it")
struct EarlyEndTests {
    @Test("is told what it has come to", arguments: Drivers.available)
    func kept(driver: DriverChoice) async throws {
        try await Guest.run(.guest(driver)) { loop in
            let pipe = try Pipe()
            for _ in 0..<100 {
                let operation = Operation.waitReadable(pipe.reader.number)
                let begun = loop.begin(operation)
                Bytes.write(1, to: pipe.writer.number)
                await until { await loop.statistics.waitingOperations == 0 }
                #expect(await loop.finish(operation, begun).result == 0)
                Bytes.read(1, from: pipe.reader.number)
            }
            // Each has given its place back.
            #expect(loop.core.operations.count == 0)
        }
    }

    @Test("and is waited for on another thread, ended or not, gets the same", arguments: Drivers.available)
    func elsewhere(driver: DriverChoice) async throws {
        try await Guest.run(.guest(driver)) { loop in
            let pipe = try Pipe()
            for isEarly in [true, false] {
                let operation = Operation.waitReadable(pipe.reader.number)
                let begun = loop.begin(operation)
                if isEarly {
                    Bytes.write(1, to: pipe.writer.number)
                    await until { await loop.statistics.waitingOperations == 0 }
                }
                let finishing = Task.detached { await loop.finish(operation, begun).result }
                if !isEarly {
                    for _ in 0..<1_000 { await Task.yield() }
                    Bytes.write(1, to: pipe.writer.number)
                }
                #expect(await finishing.value == 0)
                Bytes.read(1, from: pipe.reader.number)
                await loop.expectSoundSlots()
            }
        }
    }

    @Test("on another thread is cancelled from there", arguments: Drivers.available)
    func cancelledElsewhere(driver: DriverChoice) async throws {
        try await Guest.run(.guest(driver)) { loop in
            let pipe = try Pipe()
            let operation = Operation.waitReadable(pipe.reader.number)
            let begun = loop.begin(operation)
            let finishing = Task.detached { await loop.finish(operation, begun).result }
            finishing.cancel()
            #expect(await finishing.value == Errno.canceled.negated)
            await loop.expectSoundSlots()
        }
    }
}

extension EventLoop {
    /// What others have asked of the loop is done, and each slot was given back once: no two operations get the same.
    func expectSoundSlots() async {
        for _ in 0..<3 { await EventLoop.yield() }
        let tokens = (0..<4).map { _ in core.operations.open() }
        #expect(Set(tokens.map(\.index)).count == tokens.count)
        for token in tokens { core.operations.endAtOnce(token) }
    }
}
