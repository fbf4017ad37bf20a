import AsyncIO
import AsyncIOKernel
import AsyncIOTestSupport
import SystemPackage

extension Transcript {
    static let names = [
        Transcript("Names: numbers are their own addresses") { stage in
            for name in ["127.0.0.1", "::1", "10.1.2.3", "[::1]", "fe80::1", "1.2.3", "256.1.1.1", "::1::"] {
                await stage.tell(name) { try await lookUp(name, 80).map(\.description) }
            }
            for version in [SocketAddress.IPVersion.v4, .v6] {
                await stage.tell("\(version)") {
                    try await lookUp("127.0.0.1", 80, version: version).map(\.description)
                }
            }
        },

        Transcript("Names: those that nobody has, and those that are none") { stage in
            for name in ["no-such-name.invalid", "", ".", "a..b", "a b", String(repeating: "a", count: 64), "a\0b"] {
                await stage.tell("'\(name.prefix(30))'") { try await lookUp(name, 80).map(\.description) }
            }
            await stage.tell("connect") { _ = try await TCPStream.connect("no-such-name.invalid", 80) }
        },

        Transcript("Names: localhost is here") { stage in
            await stage.tell("localhost, IPv4") { try await lookUp("localhost", 80, version: .v4).map(\.description) }
            let listener = try await stage.client { try await TCPListener.bind("127.0.0.1", 0) }
            let port = listener.address.port ?? 0
            await stage.tell("connect") {
                let stream = try await TCPStream.connect("localhost", port)
                defer { stream.close() }
                return stream.peer.host
            }
        },

        Transcript("Names: a cancelled question, and one with no time") { stage in
            let asking = stage.client.start { try await lookUp("no-such-name.invalid", 80).map(\.description) }
            asking.cancel()
            await stage.tell("cancelled", asking)
        },
    ]
}
