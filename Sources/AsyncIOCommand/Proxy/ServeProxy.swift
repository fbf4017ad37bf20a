import ArgumentParser
import AsyncIO
import AsyncIOKernel
import Glibc

/// `asyncio serve proxy`.
struct ServeProxy: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "proxy",
        abstract: "Pass connections on to another server, byte for byte, both ways.",
        discussion: """
            EXAMPLES
              asyncio serve proxy --listen 127.0.0.1:8080 --to example.org:80
              asyncio serve proxy --listen unix:/run/db.sock --to 127.0.0.1:5432
              asyncio serve proxy --listen :6380 --to unix:/run/redis.sock --loops 2
              kill -USR1 PID                     prints what has gone through so far

            When one side finishes, the other one is told and may go on (half-close); when
            one side breaks off, so does the proxy on the other. A client whose server
            cannot be reached is broken off. Ctrl-C ends the proxy: connections have the
            --drain time to finish.
            """)

    @Option(
        help: ArgumentHelp("Where clients come in: HOST:PORT, :PORT, or unix:PATH.", valueName: "endpoint"),
        transform: Endpoint.init(parsing:))
    var listen: Endpoint

    @Option(
        help: ArgumentHelp("Where their connections go: HOST:PORT or unix:PATH.", valueName: "endpoint"),
        transform: Endpoint.init(parsing:))
    var to: Endpoint

    @Option(help: "How many loops, each on its own thread; they share a TCP port.")
    var loops = 1

    @Option(help: "How many connections may be open at once; further ones wait.")
    var limit = 10_000

    @Option(help: "Seconds that connecting to the server may take.")
    var connectTimeout = 10.0

    @Option(help: "Seconds without a byte either way after which a connection is broken off; 0 means never.")
    var idleTimeout = 0.0

    @Option(help: "Seconds that open connections have to finish after Ctrl-C.")
    var drain = 5.0

    @Option(help: "How the loops ask the system.")
    var driver = DriverChoice.auto

    @OptionGroup var inspection: InspectOption

    func validate() throws {
        guard (1...256).contains(loops) else { throw ValidationError("--loops is a number from 1 to 256.") }
        guard limit > 0 else { throw ValidationError("--limit is a number above 0.") }
        for (name, seconds, least) in [
            ("connect-timeout", connectTimeout, 0.001), ("idle-timeout", idleTimeout, 0), ("drain", drain, 0),
        ] where !(least...31_536_000).contains(seconds) {
            throw ValidationError("--\(name) is a number of seconds, at least \(least) and at most a year.")
        }
        if case .tcp("", _) = to { throw ValidationError("--to needs a host: write HOST:PORT or unix:PATH.") }
        if case .unix = listen, loops > 1 { throw ValidationError("--loops share a TCP port; a unix: path has one.") }
    }

    func run() throws {
        inspection.apply()
        // Before any thread is made: each inherits that the signal waits for the one that asks for it.
        let statistics = StatisticsSignal()
        let options = EventLoop.Options(name: "proxy 1", driver: driver, interrupts: [.interrupt, .terminate])
        try EventLoop.run(options: options) {
            let own = EventLoop.Options(name: "proxy", driver: driver, interrupts: [])
            let group = try LoopGroup(count: loops, including: EventLoop.current, options: own)
            let proxy = Proxy(
                to: to, connectTimeout: .seconds(connectTimeout),
                idleTimeout: idleTimeout > 0 ? .seconds(idleTimeout) : nil, loops: group.loops)
            try statistics.start { Console.say("proxy: \(proxy.statistics)") }
            let result: Result<Void, any Error>
            do { result = .success(try await serve(proxy, on: group)) } catch { result = .failure(error) }
            try await group.shutdown()
            Console.sayGoodbye("proxy: goodbye; \(proxy.statistics)")
            try result.get()
        }
    }

    /// Serves until cancelled.
    private func serve(_ proxy: Proxy, on group: LoopGroup) async throws {
        let drain = Duration.seconds(drain)
        switch listen {
        case .tcp(let host, let port):
            let place = try Place.parse(["--host", host.isEmpty ? "0.0.0.0" : host])
            let server = try await place.listen(port: port) { try await group.bind($0, $1) }
            announce(server.addresses)
            try await server.serve(limit: limit, drain: drain) { await proxy.pass(on: $0) }
        case .unix(let address):
            let listener = try await UnixListener.bind(to: address)
            announce([listener.address])
            try await listener.serve(limit: limit, drain: drain) { await proxy.pass(on: $0) }
        }
    }

    private func announce(_ addresses: [SocketAddress]) {
        let places = addresses.map(\.description).joined(separator: ", ")
        Console.say("proxy: listening on \(places) - passing on to \(to)")
    }
}

/// SIGUSR1, as a call on a thread of its own.
struct StatisticsSignal {
    private static let signals: sigset_t = {
        var signals = sigset_t()
        unsafe sigemptyset(&signals)
        unsafe sigaddset(&signals, SIGUSR1)
        return signals
    }()

    /// From here on the signal waits until somebody asks for it.
    init() {
        var signals = Self.signals
        unsafe pthread_sigmask(SIG_BLOCK, &signals, nil)
    }

    /// Calls back each time. The thread lives as long as the process.
    func start(_ body: @escaping @Sendable () -> Void) throws {
        try SystemThread.start(name: "statistics") {
            var signals = Self.signals
            var signal: CInt = 0
            while unsafe sigwait(&signals, &signal) == 0 { body() }
        }.detach()
    }
}
