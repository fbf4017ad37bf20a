package import AsyncIOKernel
package import AsyncIOLoop
import CAsyncIO
import Glibc
import SystemPackage

/// A simulated host's driver without its loop, for the examination of drivers: a wait lets the world go on.
///
/// System calls of the calling thread go to the simulated host from its making to its ``close()``.
package final class LonelySimulatedDriver: Driver {
    private let world: World
    private let host: SimulatedHost
    private let kernel: HostKernel
    private let inner: SimulatedDriver
    private var isWoken = false

    package init(seed: UInt64, faults: SimulationFaults) throws {
        var simulation = Simulation(seed: seed)
        simulation.faults = faults
        world = World(simulation)
        host = try world.addHost("host")
        kernel = HostKernel(host, disk: host.disk)
        inner = SimulatedDriver(kernel)
        SystemCall.answerCalls(inner.standIn)
    }

    package var name: String { inner.name }
    package var now: Instant { inner.now }
    package func submit(_ operation: Operation, token: Token) -> Submission { inner.submit(operation, token: token) }
    package func cancel(_ token: Token) { inner.cancel(token) }
    package func rival(of operation: Operation) -> Token? { inner.rival(of: operation) }
    package func wake() { isWoken = true }

    package func wait(until deadline: Instant?, into completions: inout CompletionList) {
        let before = completions.count
        inner.wait(until: deadline, into: &completions)
        var isOver = false
        if let deadline { world.at(max(deadline, world.now)) { isOver = true } }
        while completions.count == before, !isOver, !isWoken, world.failure == nil {
            if world.strikes("spurious wake-up", world.faults.spuriousWakeUps) { inner.disturb() }
            world.step()
            inner.wait(until: deadline, into: &completions)
        }
        isWoken = false
    }

    package func close() {
        inner.close()
        SystemCall.answerCalls(nil)
    }

    /// Two connected sockets, which belong to the driver.
    package func makePair() throws -> (Handle, Handle) {
        let (result, one, other) = kernel.socketPair(type: CInt(SOCK_STREAM.rawValue))
        try SystemCall.check(result, "socketpair", "")
        func adopt(_ number: CInt) throws -> Handle {
            guard
                case .completed(let outcome) = submit(
                    .adopt(number, .socket), token: Token(index: 8_888, generation: 1))
            else { throw IOError(.ioError, operation: "adopt", subject: "descriptor \(number)") }
            try SystemCall.check(outcome.result, "adopt", "descriptor \(number)")
            return Handle(rawValue: outcome.result)
        }
        return (try adopt(one), try adopt(other))
    }
}
