import AsyncIO
import AsyncIOKernel
import AsyncIOLoop
import AsyncIOTestSupport
import Testing

@Suite("Callbacks for signals", .serialized, .timeLimit(.minutes(30)))
struct SignalHandlerTests {
    @Test("are called on the loop until they are cancelled", arguments: Setting.all)
    func cancel(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let signal = try #require(Signal.realTime(10))
            let (here, elsewhere) = (Counter(), Counter())
            let handler = try loop.onSignal(signal) { (loop.isCurrent ? here : elsewhere).add() }
            let other = try Signals(signal, on: loop)
            for round in 1...3 {
                SignalsTests.send(signal)
                await until { here.value == round }
                #expect(try await other.next() == signal)
            }
            handler.cancel()
            handler.cancel()
            SignalsTests.send(signal)
            #expect(try await other.next() == signal)
            // Whatever was on its way to the callback has arrived.
            for _ in 0..<10 { _ = await loop.statistics }
            #expect(here.value == 3 && elsewhere.value == 0)
            other.close()
            #expect(SignalsTests.action(of: signal) == 0)
        }
    }

    @Test("live on when nobody holds the registration, and end with their loop", arguments: Drivers.available)
    func endOfLoop(driver: DriverChoice) async throws {
        let signal = try #require(Signal.realTime(11))
        let reports = Errors()
        let count = Counter()
        let loop = try await Guest.run(.guest(driver, errors: reports)) { loop in
            try loop.onSignal(signal) { count.add() }
            SignalsTests.send(signal)
            await until { count.value == 1 }
            return loop
        }
        #expect(SignalsTests.action(of: signal) == 0)
        #expect(reports.lines.isEmpty)
        #expect(throws: EventLoopError.closed("guest")) { try loop.onSignal(signal) {} }
        #expect(SignalsTests.action(of: signal) == 0)
    }
}
