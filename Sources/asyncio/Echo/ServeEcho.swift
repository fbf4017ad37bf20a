public import ArgumentParser
public import AsyncIO

/// `asyncio serve echo`.
struct ServeEcho: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "echo",
        abstract: "A server that sends back what it gets, on one loop or on several.",
        discussion: """
            EXAMPLES
              asyncio serve echo                     then, elsewhere: nc 127.0.0.1 7007
              asyncio serve echo --loops 4           four threads share the port
              head -c 1G /dev/zero | nc -N 127.0.0.1 7007 | wc -c

            Each loop accepts on a socket of its own (SO_REUSEPORT); the kernel spreads
            the connections. Ctrl-C closes all of them, and ends with exit code 0.
            """)

    @OptionGroup var place: Place

    @Option(help: "The port; 0 means any that is free.")
    var port: UInt16 = 7007

    @Option(help: "How the loops ask the system.")
    var driver = DriverChoice.auto

    @Option(help: "How many loops, each on its own thread.")
    var loops = 1

    func validate() throws {
        guard (1...256).contains(loops) else { throw ValidationError("--loops is a number from 1 to 256.") }
    }

    func run() throws {
        let options = EventLoop.Options(name: "echo 1", driver: driver, interrupts: [.interrupt, .terminate])
        try EventLoop.run(options: options) {
            let threads = try (1..<loops).map { number in
                try LoopThread(
                    options: EventLoop.Options(name: "echo \(number + 1)", driver: driver, interrupts: []))
            }
            let result: Result<Void, any Error>
            do { result = .success(try await serve(with: threads)) } catch { result = .failure(error) }
            for thread in threads { await thread.shutdown() }
            try result.get()
        }
        Console.sayGoodbye("echo: goodbye")
    }

    /// Listens once for each loop, and serves until cancelled.
    private func serve(with threads: [LoopThread]) async throws {
        // The first look is not shared: a port that somebody else shares is in use too.
        let first = try await TCPListener.bind(for: place, port: port, options: TCPOptions(), on: nil)
        var listeners = [first]
        if !threads.isEmpty {
            first.close()
            let shared = TCPOptions(reusePort: true)
            listeners = [try await TCPListener.bind(to: first.address, options: shared)]
            for thread in threads {
                listeners.append(try await TCPListener.bind(to: first.address, options: shared, on: thread.loop))
            }
        }
        let loops = threads.isEmpty ? "1 loop" : "\(threads.count + 1) loops on as many threads"
        let how = "\(first.loop.driverName), \(loops)"
        Console.say("echo: listening on \(first.address) (\(how)) - try: \(first.invitation)")
        try await withThrowingTaskGroup { group in
            for listener in listeners {
                group.addTask { try await listener.serve(Self.echo) }
            }
            // One that fails ends all.
            try await group.waitForAll()
        }
    }

    @Sendable
    private static func echo(_ connection: TCPStream) async throws {
        do {
            while let bytes = try await connection.read() { try await connection.write(bytes) }
        } catch let error as IOError where error.isDeparture {
            // Clients break off; that is no news.
        }
    }
}

extension DriverChoice: ExpressibleByArgument {}
