import AsyncIOKernel
import AsyncIOLoop
import AsyncIOTestSupport
import Glibc
import SystemPackage
import Testing

@testable import AsyncIO

@Suite("A listener that can accept no more")
struct DeadListenerTests {
    @Test(
        "ends its server with an error that says so, when the connections that live have ended",
        arguments: Setting.all)
    func ends(setting: Setting) async throws {
        let errors = Errors()
        try await withLoop(setting, reports: errors) { loop in
            let listener = try await TCPListener.bind("127.0.0.1", 0, on: loop)
            let serving = Task {
                try await listener.serve { stream in
                    while let bytes = try await stream.read() { try await stream.write(bytes) }
                }
            }
            let client = try await TCPStream.connect(to: listener.address, on: loop)
            try await client.write([1])
            #expect(try await client.read() == [1])
            // What makes accept(2) report EINVAL for ever.
            shutdown(listener.handle.descriptor, CInt(SHUT_RDWR))
            await until { !errors.lines.isEmpty }
            #expect(errors.lines.contains { $0.contains("accepts no more") && $0.contains("Invalid argument") })
            try await client.write([2])
            #expect(try await client.read() == [2], "who is connected goes on")
            client.close()
            let error = try await ioError { try await serving.value }
            #expect(error.code == .invalidArgument)
            #expect("\(error)".contains("the socket does not listen any more"), "\(error)")
            await #expect(throws: IOError.self) { try await TCPStream.connect(to: listener.address, on: loop) }
        }
    }
}
