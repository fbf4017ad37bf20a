import AsyncIO
import AsyncIOKernel
import AsyncIOLoop
import AsyncIOTestSupport
import AsyncIOTesting
import Glibc
import SystemPackage
import Testing

/// Where a scenario plays: a server's side and a client's side, and a transcript of what they see.
///
/// On a real machine both sides are one loop, over 127.0.0.1 and a folder for temporary files. In a simulated world
/// they are two hosts, or one host twice.
struct Stage: Sendable {
    let server: Side
    let client: Side
    /// Nil on a real machine.
    let world: World?
    /// A folder that is empty, on both sides.
    let folder: String
    let log: Log<String>
    /// Names that stand in the transcript in place of what differs from run to run.
    let names: Names

    /// One side.
    struct Side: Sendable {
        let name: String
        let host: SimulatedHost?
        /// Its addresses: one of IPv4, one of IPv6.
        let v4: String
        let v6: String

        /// Runs a body on this side.
        func callAsFunction<Success: Sendable>(
            _ body: @escaping @Sendable () async throws -> Success
        ) async throws -> Success {
            guard let host else { return try await body() }
            return try await host.run(name, body)
        }

        /// Starts a body on this side.
        func start<Success: Sendable>(
            _ body: @escaping @Sendable () async throws -> Success
        ) -> Task<Success, any Error> {
            Task(name: name, executorPreference: EventLoop.current) { try await self(body) }
        }
    }

    /// Writes a line into the transcript.
    func note(_ line: String) { log.add(names.replaced(in: line)) }

    /// Writes into the transcript what came of a body on a side.
    func tell<Success: Sendable>(
        _ what: String, at side: Side? = nil, _ body: @escaping @Sendable () async throws -> Success
    ) async {
        let told: String
        do { told = Self.text(try await (side ?? client)(body)) } catch { told = Self.text(error) }
        note("\(what): \(told)")
    }

    /// Writes into the transcript what came of a task.
    func tell<Success: Sendable>(_ what: String, _ task: Task<Success, any Error>) async {
        let told: String
        do { told = Self.text(try await task.value) } catch { told = Self.text(error) }
        note("\(what): \(told)")
    }

    private static func text(_ error: any Error) -> String {
        switch error {
        case is CancellationError: "cancelled"
        case is TimeoutError: "timed out"
        case let error as IOError: "\(error.operation) error \(error.code.rawValue): \(error)"
        case let error as ResolutionError: "\(error.subject): \(error.reason)"
        case let error as ConnectError:
            "connect error \(error.code?.rawValue ?? 0): \(error.attempts.map { "\($0.error)" })"
        default: "threw \(error)"
        }
    }

    private static func text(_ value: some Any) -> String {
        switch value {
        case is Void: "done"
        case let bytes as [UInt8]: text(bytes)
        case let bytes as [UInt8]?: bytes.map { text($0) } ?? "the end"
        case let text as String?: text ?? "the end"
        default: "\(value)"
        }
    }

    private static func text(_ bytes: [UInt8]) -> String {
        guard bytes.count > 64 else { return "'\(String(decoding: bytes, as: UTF8.self))'" }
        return "\(bytes.count) bytes, sum \(Bytes.checksum(bytes))"
    }

    /// Lets everybody come as far as they can: what was started waits, and what was sent has arrived.
    func settle() async throws {
        if let world { return try await world.sleep(for: .milliseconds(20)) }
        for _ in 0..<50 { await EventLoop.yield() }
    }

    /// A connection from the client to the server.
    func connection(
        _ version: SocketAddress.IPVersion = .v4, options: TCPOptions = TCPOptions()
    ) async throws -> (client: TCPStream, server: TCPStream) {
        let listener = try await listen(version, options: options)
        let accepting = server.start {
            defer { listener.close() }
            return try await listener.accept()
        }
        let stream = try await client { try await TCPStream.connect(to: listener.address, options: options) }
        return (stream, try await accepting.value)
    }

    /// A listener of the server.
    func listen(
        _ version: SocketAddress.IPVersion = .v4, options: TCPOptions = TCPOptions()
    ) async throws -> TCPListener {
        let address = version == .v4 ? server.v4 : server.v6
        let listener = try await server { try await TCPListener.bind(address, 0, options: options) }
        names.set("SERVER-PORT", for: listener.address)
        return listener
    }

    /// A program of the real system; in a simulated world, what plays its part on the client's side.
    func install(
        _ path: String, _ body: @escaping @Sendable (SimulatedChild) async throws -> Int32
    ) throws {
        try client.host?.install(path, body)
    }

    /// Sends the client's program a signal.
    func raise(_ signal: Signal) {
        if let host = client.host { _ = host.raise(signal) } else { kill(getpid(), signal.rawValue) }
    }
}

/// What differs from run to run, and what stands in its place.
final class Names: Sendable {
    private let known = Condition<[(text: String, name: String)]>([])

    /// Replaces a text by a name wherever it stands in a line.
    func set(_ name: String, for text: String) {
        known.withLock { $0.append((text, name)) }
    }

    /// Gives an address's port a name.
    func set(_ name: String, for address: SocketAddress) {
        set("HOST:\(name)", for: "\(address)")
    }

    func replaced(in line: String) -> String {
        // Longer ones first: one may be the beginning of another.
        let all = known.withLock { $0 }.sorted { $0.text.count > $1.text.count }
        let line = all.reduce(line) { $0.replacing($1.text, with: $1.name) }
        // Numbers of descriptors and ports that have no name are everybody's own, and so are the names of tasks.
        return line.replacing(/(descriptor|pipe) \d+/) { "\($0.output.1) N" }
            .replacing(/HOST\]?:\d{4,5}/, with: "HOST:PORT")
            .replacing(/the task \w+(: \w+)?/, with: "the task T")
    }
}

extension ByteStream {
    /// Reads so many bytes, in however many pieces they come; fewer only at the end.
    func gather(_ count: Int) async throws -> [UInt8] {
        var bytes: [UInt8] = []
        while bytes.count < count, let more = try await read(upTo: count - bytes.count) { bytes += more }
        return bytes
    }
}

/// More than all that lies between two ends of a connection holds: the kernel lets its buffers grow.
enum Bulk {
    static let bytes = Bytes.pattern(24 << 20)
    static var count: Int { bytes.count }
}

/// Where a scenario is played.
enum Theatre: Sendable, CustomStringConvertible {
    case real(DriverChoice)
    /// Two hosts, or one.
    case simulated(hosts: Int, seed: UInt64, storm: Bool)

    static let all =
        Drivers.available.map { Theatre.real($0) }
        + (1...2).flatMap { hosts in
            (1...(Stress.isOn ? 60 : 6) as ClosedRange<UInt64>).map {
                Theatre.simulated(hosts: hosts, seed: $0, storm: $0 % 3 != 1)
            }
        }

    var description: String {
        switch self {
        case .real(let driver): "really, on \(driver.rawValue)"
        case .simulated(let hosts, let seed, let storm):
            "simulated, on \(hosts == 1 ? "one host" : "two hosts")\(storm ? " in a storm" : ""), seed \(seed)"
        }
    }

    /// Plays a scenario, and returns its transcript.
    func play(_ body: @escaping @Sendable (Stage) async throws -> Void) async throws -> [String] {
        switch self {
        case .real(let driver): return try await playReally(driver, body)
        case .simulated(let hosts, let seed, let storm):
            var simulation = Simulation(seed: seed)
            if storm { simulation.faults = .stormy }
            return try await simulation.run { world in
                let server = try world.addHost("server")
                let client = hosts == 1 ? server : try world.addHost("client")
                for host in world.hosts {
                    host.disk.userID = getuid()
                    try host.disk.makeFolder("/tmp/stage")
                }
                return try await Self.play(body, on: Self.stage(world, server, client))
            }
        }
    }

    private func playReally(
        _ driver: DriverChoice, _ body: @escaping @Sendable (Stage) async throws -> Void
    ) async throws -> [String] {
        try await withLoop(Setting(driver: driver, caller: .onLoop), limit: .seconds(120)) { _ in
            try await withTemporaryFolder { folder in
                let names = Names()
                names.set("FOLDER", for: folder.string)
                names.set("HOST", for: "127.0.0.1")
                names.set("HOST", for: "::1")
                names.set("PATH", for: unsafe getenv("PATH").map { unsafe String(cString: $0) } ?? "")
                func side(_ name: String) -> Stage.Side {
                    Stage.Side(name: name, host: nil, v4: "127.0.0.1", v6: "::1")
                }
                let stage = Stage(
                    server: side("server"), client: side("client"), world: nil, folder: folder.string, log: Log(),
                    names: names)
                return try await Self.play(body, on: stage)
            }
        }
    }

    private static func play(
        _ body: @escaping @Sendable (Stage) async throws -> Void, on stage: Stage
    ) async throws -> [String] {
        do { try await body(stage) } catch { stage.note("the scenario threw \(error)") }
        return stage.log.all
    }

    private static func stage(_ world: World, _ server: SimulatedHost, _ client: SimulatedHost) -> Stage {
        let names = Names()
        let folder = "/tmp/stage"
        let isAlone = server === client
        names.set("FOLDER", for: folder)
        func side(_ name: String, _ host: SimulatedHost) -> Stage.Side {
            let v4 = isAlone ? "127.0.0.1" : host.addresses[0].host
            let v6 = isAlone ? "::1" : host.addresses[1].host
            for text in [v4, v6, "127.0.0.1", "::1"] { names.set("HOST", for: text) }
            names.set("PATH", for: host.environment["PATH"] ?? "")
            return Stage.Side(name: name, host: host, v4: v4, v6: v6)
        }
        return Stage(
            server: side("server", server), client: side("client", client), world: world, folder: folder, log: Log(),
            names: names)
    }
}
