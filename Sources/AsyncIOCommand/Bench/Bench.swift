import ArgumentParser
import AsyncIO

/// `asyncio bench`.
struct Bench: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Measure what this library costs on this machine.",
        discussion: """
            Without names, everything is measured: some half a minute. Each round of each
            work runs in a process of its own; the rounds are interleaved, and what is
            shown is their median. Figures are for one operation: processor time, which
            says most on a machine that has other work, and the clock's.

            EXAMPLES
              asyncio bench                     all of it
              asyncio bench queue hand-over     these two
              asyncio bench --list              which there are
              asyncio bench echo --driver epoll --rounds 9 --json

            FOR OTHER PROGRAMS, which compare it with other libraries:
              asyncio bench spawn 100000 --raw  one work, once, in this process, as a line
                                                of JSON: work, operations, wall_ns, cpu_ns,
                                                peak_kib, and what that work alone has
              asyncio bench serve echo 7001     a server on one thread of 127.0.0.1; it
                                                says 'ready', and ends with SIGTERM
              asyncio bench serve proxy 7002 7001    … that passes on to port 7001
              asyncio bench serve udp 7003           … that sends back datagrams
            """)

    @Argument(help: ArgumentHelp("The works; without any, all of them.", valueName: "name"))
    var words: [String] = []

    @Flag(help: "List the works.")
    var list = false

    @Option(help: ArgumentHelp("How many rounds; without it 3, but 1 for what waits for timers.", valueName: "number"))
    var rounds: Int?

    @Option(help: ArgumentHelp("How many operations a round has; without it, what --list says.", valueName: "number"))
    var count: Int?

    @Option(help: "How the loop asks the system.")
    var driver = DriverChoice.auto

    @Flag(help: "The report for programs to read.")
    var json = false

    @Flag(help: "Do one work once, here, and print its line of JSON.")
    var raw = false

    /// What the words ask for.
    private enum Wish {
        case list
        case server(BenchServer)
        case once(Work, Int)
        case report(BenchRounds)
    }

    func validate() throws { _ = try wish }

    func run() throws {
        // The time of the process begins here, as far as it can tell.
        _ = Stopwatch.process
        switch try wish {
        case .list: Console.say(BenchReport.list)
        case .server(let server):
            let options = EventLoop.Options(name: "bench", driver: driver, interrupts: [.interrupt, .terminate])
            try EventLoop.run(options: options) { try await server.run() }
        case .once(let work, let count):
            let measurement = try EventLoop.run(options: options) { try await work.measure(count) }
            Console.say(measurement.line(work.name))
        case .report(let rounds):
            try EventLoop.run(options: options) {
                let report = BenchReport(results: try await rounds.run(), driver: try EventLoop.here().driverName)
                Console.say(json ? report.json.description : report.text(Paint(isOn: Console.wantsColour)))
            }
        }
    }

    private var options: EventLoop.Options { EventLoop.Options(name: "bench", driver: driver) }

    private var wish: Wish {
        get throws {
            if list { return .list }
            if words.first == "serve" { return .server(try refusing { try BenchServer(words.dropFirst()) }) }
            if raw { return try once }
            let works = try refusing { try words.isEmpty ? Work.all : words.map(Work.named) }
            if let rounds, !(1...1_000).contains(rounds) {
                throw ValidationError("--rounds \(rounds) is out of range: choose a number from 1 to 1000.")
            }
            let all = BenchRounds(works: works, rounds: rounds, count: count, driver: driver)
            for work in works { try check(all.count(of: work), of: work) }
            return .report(all)
        }
    }

    /// WORK [N]
    private var once: Wish {
        get throws {
            guard let name = words.first, words.count <= 2 else {
                throw ValidationError("--raw is for one work: write its name and, if you like, a number.")
            }
            let work = try refusing { try Work.named(name) }
            guard words.count == 2 else { return .once(work, try check(count ?? work.count, of: work)) }
            guard let count = Int(words[1]), self.count == nil else {
                throw ValidationError("'\(CleanText(words[1]))' is no number: write asyncio bench \(name) 1000 --raw.")
            }
            return .once(work, try check(count, of: work))
        }
    }

    @discardableResult
    private func check(_ count: Int, of work: Work) throws -> Int {
        if let refusal = work.refusal(of: count) { throw ValidationError(refusal) }
        return count
    }

    /// What is wrong with the command line, in its own words.
    private func refusing<Value>(_ body: () throws -> Value) throws -> Value {
        do { return try body() } catch { throw ValidationError("\(error)") }
    }
}
