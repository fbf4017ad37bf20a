import AsyncIOKernel
import AsyncIOLoop
import AsyncIOTestSupport
import Glibc
import SystemPackage
import Testing

@testable import AsyncIO

@Suite("Connecting to somebody who does not answer")
struct ConnectTimeoutTests {
    /// A11. A listener whose queue is full drops what comes; TCP_USER_TIMEOUT of tcp(7) makes the kernel give up soon.
    @Test("fails with the kernel's ETIMEDOUT, and holds nobody up meanwhile", arguments: Setting.all)
    func timesOut(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let (listener, address) = try Peer.listening(backlog: 0)
            let first = try Peer(to: address)
            let descriptor = try Socket.openTCP(for: address, "connect")
            try Socket.set(descriptor.number, CInt(IPPROTO_TCP), TCP_USER_TIMEOUT, 300, "\(address)")
            let stream = try await TCPStream.adopt(descriptor, peer: address, on: loop)
            let connecting = Task {
                let target = UnsafeMutablePointer<SocketAddress>.allocate(capacity: 1)
                unsafe target.initialize(to: address)
                defer {
                    unsafe target.deinitialize(count: 1)
                    unsafe target.deallocate()
                }
                return unsafe await loop.perform(.connect(stream.handle, UnsafePointer(target))).result
            }
            // Others have their turns.
            for _ in 0..<10 { try await loop.sleep(for: .milliseconds(1)) }
            #expect(Errno(negated: await connecting.value) == .timedOut)
            stream.close()
            withExtendedLifetime((listener, first)) {}
        }
    }
}
