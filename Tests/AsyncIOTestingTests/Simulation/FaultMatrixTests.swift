import AsyncIO
import AsyncIOKernel
import SystemPackage
import Testing

@testable import AsyncIOTesting

/// Each system call of a server and its client fails once, early or late, with each error that it may report.
@Suite("A system call that fails once")
struct FaultMatrixTests {
    struct Fault: CustomTestStringConvertible, Sendable {
        let call: String
        let codes: [Errno]
        var testDescription: String { call }
    }

    static let faults = [
        Fault(call: "socket", codes: [.tooManyOpenFiles, .tooManyOpenFilesInSystem, .noMemory, .noBufferSpace]),
        Fault(call: "bind", codes: [.addressInUse, .addressNotAvailable, .permissionDenied]),
        Fault(call: "listen", codes: [.addressInUse]),
        Fault(
            call: "accept",
            codes: [
                .connectionAbort, .tooManyOpenFiles, .tooManyOpenFilesInSystem, .noMemory, .noBufferSpace,
                .notPermitted,
                .protocolError, .ioError,
            ]),
        Fault(
            call: "connect",
            codes: [.connectionRefused, .networkUnreachable, .timedOut, .addressNotAvailable, .noMemory]),
        Fault(call: "read", codes: [.connectionReset, .timedOut, .ioError, .noMemory, .noRouteToHost]),
        Fault(call: "write", codes: [.connectionReset, .brokenPipe, .timedOut, .ioError, .noMemory, .noBufferSpace]),
        Fault(call: "shutdown", codes: [.socketNotConnected, .ioError]),
        Fault(call: "close", codes: [.ioError, .noSpace, .interrupted]),
        Fault(call: "setsockopt", codes: [.invalidArgument, .noMemory]),
        Fault(call: "getsockname", codes: [.noMemory, .noBufferSpace]),
        Fault(call: "error", codes: [.ioError]),
    ]

    @Test("ends a request or not, and harms nobody else", arguments: faults)
    func once(_ fault: Fault) async throws {
        for code in fault.codes {
            for position in 0..<4 {
                for side in ["server", "client"] {
                    let report = await Simulation(seed: UInt64(position)).report { world in
                        try await Self.run(world, fault.call, code, position, side)
                    }
                    // Read outside: a failure names the fault.
                    guard case .failure(let error) = report.result else { continue }
                    Issue.record("\(fault.call) of the \(side), number \(position), fails with \(code): \(error)")
                }
            }
        }
    }

    private static func run(
        _ world: World, _ call: String, _ code: Errno, _ position: Int, _ side: String
    ) async throws {
        world.failsOnUnhandledErrors = false
        let (server, client) = (try world.addHost("server"), try world.addHost("client"))
        (side == "server" ? server : client).failCalls(call, with: code, after: position)
        try server.program("echo") {
            // As service managers do with a server that does not come up.
            while true {
                do {
                    let listener = try await TCPListener.bind("0.0.0.0", 7)
                    try await listener.serve { connection in
                        while let bytes = try await connection.read() { try await connection.write(bytes) }
                        try await connection.closeWriting()
                    }
                } catch is IOError {
                    try await world.sleep(for: .milliseconds(100))
                }
            }
        }
        try await world.sleep(for: .seconds(1))
        for _ in 0..<4 { _ = try? await client.run { try await withTimeout(.seconds(5)) { _ in try await request() } } }
        // The fault is over; the weather is good.
        client.failCallsNoMore()
        server.failCallsNoMore()
        try await world.sleep(for: .seconds(5))
        try await client.run { try await withTimeout(.seconds(30)) { _ in try await request() } }
        try await world.sleep(for: .seconds(60))
        world.check(client.openDescriptors == 0, "the client has \(client.openDescriptors) descriptors left")
        world.check(server.openDescriptors == 1, "the server has \(server.openDescriptors) descriptors, not one")
        try await client.shutdown()
        try await server.shutdown()
    }

    private static func request() async throws {
        let stream = try await TCPStream.connect("server", 7)
        defer { stream.close() }
        try await stream.write([1, 2, 3])
        try await stream.closeWriting()
        var received: [UInt8] = []
        while let bytes = try await stream.read() { received += bytes }
        guard received == [1, 2, 3] else { throw IOError(.ioError, operation: "request", detail: "\(received)") }
    }
}
