import AsyncIOKernel
import AsyncIOTestSupport
import Glibc
import SystemPackage
import Testing

@testable import AsyncIO

@Suite("Looking up names", .timeLimit(.minutes(30)))
struct LookUpTests {
    // MARK: The system

    @Test("the system knows this machine, by name and by address", arguments: Setting.all)
    func localhost(setting: Setting) async throws {
        try await withLoop(setting) { _ async throws in
            let addresses = try await lookUp("localhost", 80)
            #expect(!addresses.isEmpty)
            #expect(addresses.allSatisfy { $0.isLoopback && $0.port == 80 })
            #expect(Set(addresses).count == addresses.count)
            #expect(try await lookUp("localhost", version: .v4) == [.loopback(port: 0)])
            #expect(try await lookUpName(of: .loopback(port: 80)) == "localhost")
        }
    }

    @Test("a name that nobody has says so", arguments: Setting.all)
    func noSuchName(setting: Setting) async throws {
        try await withLoop(setting) { _ async throws in
            let error = await #expect(throws: ResolutionError.self) { try await lookUp("no-such-host.invalid") }
            #expect(error?.subject == "no-such-host.invalid")
            // A machine without name servers cannot know that there is no such name.
            switch error?.reason {
            case .noSuchName: #expect(error.map { "\($0)" } == "resolve no-such-host.invalid: no such name")
            case .tryAgain: #expect(error?.isTemporary == true)
            default: Issue.record("\(String(describing: error))")
            }
        }
    }

    @Test("the codes of the system's resolver are told apart")
    func codes() {
        func error(_ code: CInt) -> ResolutionError {
            ResolutionError(code: code, system: .tooManyOpenFiles, subject: "example.org")
        }
        #expect(error(EAI_NONAME).reason == .noSuchName)
        #expect(error(EAI_AGAIN).reason == .tryAgain)
        #expect(error(EAI_FAIL).reason == .failed)
        #expect(error(-5).reason == .noAddress)
        #expect(error(-9).reason == .noAddress)
        #expect(error(EAI_MEMORY).reason == .system(.noMemory))
        #expect(error(EAI_SYSTEM).reason == .system(.tooManyOpenFiles))
        #expect("\(error(EAI_SYSTEM))" == "resolve example.org: Too many open files")
        #expect(error(EAI_OVERFLOW).reason == .failed)
        #expect(error(-4711).reason == .failed)
        #expect([EAI_AGAIN, EAI_SYSTEM].allSatisfy { error($0).isTemporary })
        #expect([EAI_NONAME, EAI_FAIL, -5].allSatisfy { !error($0).isTemporary })
    }

    @Test("only addresses of the network have names")
    func unixName() async throws {
        let address = try SocketAddress.unix(path: "/run/app.sock")
        let error = await #expect(throws: ResolutionError.self) { try await lookUpName(of: address) }
        #expect(error?.subject == "unix:/run/app.sock")
    }

    // MARK: Resolvers of one's own

    private struct Fixed: Resolver {
        let answer: [SocketAddress]
        func addresses(of host: String, version: SocketAddress.IPVersion?) async throws -> [SocketAddress] { answer }
    }

    @Test("the resolver's order is kept; ports are filled in, and nothing comes twice or from another family")
    func order() async throws {
        let unix = try SocketAddress.unix(path: "/nowhere")
        let six = SocketAddress.loopback(port: 0, version: .v6)
        let answer: [SocketAddress] = [
            .ipv4(10, 0, 0, 2, port: 0), six, .ipv4(10, 0, 0, 1, port: 9), unix, .ipv4(10, 0, 0, 2, port: 80), six,
        ]
        let resolver = Fixed(answer: answer)
        let found = try await lookUp("example.test", 80, resolver: resolver)
        #expect(found.map(\.description) == ["10.0.0.2:80", "[::1]:80", "10.0.0.1:9"])
        #expect(try await lookUp("example.test", 80, version: .v6, resolver: resolver) == [six.with(port: 80)])
    }

    @Test("a resolver that answers with nothing is an error, not an empty list")
    func empty() async throws {
        let cases: [([SocketAddress], SocketAddress.IPVersion?)] = [([], nil), ([.loopback(port: 0)], .v6)]
        for (answer, version) in cases {
            let error = await #expect(throws: ResolutionError.self) {
                try await lookUp("example.test", version: version, resolver: Fixed(answer: answer))
            }
            #expect(error?.reason == .noAddress && error?.subject == "example.test")
        }
    }

    @Test("a resolver that knows no names of addresses says so")
    func nameless() async {
        let error = await #expect(throws: ResolutionError.self) {
            try await lookUpName(of: .loopback(port: 1), resolver: Fixed(answer: []))
        }
        #expect(error?.reason == .noSuchName && error?.subject == "127.0.0.1")
    }

    @Test("a table answers, fails and is silent as it is told to", arguments: Setting.onLoop)
    func table(setting: Setting) async throws {
        try await withLoop(setting) { loop async throws in
            var table = StaticResolver(["Api.test": [.ipv4(10, 0, 0, 1, port: 8080)], "b.test.": [.loopback(port: 0)]])
            table["down.test"] = .failure(.tryAgain)
            table["slow.test"] = .silence
            #expect(try await lookUp("aPI.test.", 80, resolver: table) == [.ipv4(10, 0, 0, 1, port: 8080)])
            #expect(try await lookUp("b.test", 80, resolver: table) == [.loopback(port: 80)])
            #expect(try await lookUpName(of: .ipv4(10, 0, 0, 1, port: 1), resolver: table) == "api.test")
            for (name, reason) in [("down.test", ResolutionError.Reason.tryAgain), ("c.test", .noSuchName)] {
                let error = await #expect(throws: ResolutionError.self) { try await lookUp(name, resolver: table) }
                #expect(error?.reason == reason && error?.subject == name)
            }
            let (asked, resolver) = (Counter(), table)
            let asker = loop.submit {
                asked.add()
                return try await lookUp("slow.test", resolver: resolver)
            }
            await until { asked.value == 1 }
            asker.cancel()
            await #expect(throws: CancellationError.self) { _ = try await asker.value }
            let both = StaticResolver(["x.test": [.loopback(port: 2)]], otherwise: table)
            #expect(try await lookUp("b.test", 3, resolver: both) == [.loopback(port: 3)])
            #expect(try await lookUpName(of: .ipv4(10, 0, 0, 1, port: 1), resolver: both) == "api.test")
        }
    }

    @Test(
        "a resolver holds for a task and all that it starts; one that a call names goes before it",
        arguments: Setting.onLoop)
    func replaced(setting: Setting) async throws {
        try await withLoop(setting) { loop async throws in
            let outer = StaticResolver(["a.test": [.loopback(port: 1)]])
            let inner = StaticResolver(["a.test": [.loopback(port: 2)]])
            let ports = try await withResolver(outer) {
                async let child = lookUp("a.test")
                let plain = Task { try await lookUp("a.test") }
                let named = try await lookUp("a.test", resolver: inner)
                let nested = try await withResolver(inner) { try await lookUp("a.test") }
                return try await [child, plain.value, named, nested].map { $0.first?.port }
            }
            #expect(ports == [1, 1, 2, 2])
            let isReplaced = try await withResolver(outer) {
                try await loop.submit { !(CurrentResolver.value is SystemResolver) }.value
            }
            #expect(!isReplaced, "what the loop owns inherits nothing")
            #expect(CurrentResolver.value is SystemResolver)
        }
    }

    @Test("a listener binds to what the resolver in force says", arguments: Setting.onLoop)
    func binds(setting: Setting) async throws {
        try await withLoop(setting) { _ async throws in
            let listener = try await withResolver(StaticResolver(["here.test": [.loopback(port: 0)]])) {
                try await TCPListener.bind("here.test", 0)
            }
            #expect(listener.address.isLoopback)
            listener.close()
        }
    }
}
