import AsyncIO
public import AsyncIOKernel
public import AsyncIOLoop
public import SystemPackage

/// A machine of a simulated world: with a loop, addresses and a disk of its own.
///
/// The program under test runs on it unchanged: it binds, connects, reads files, sleeps and starts tasks as on a real
/// machine, and finds the other hosts by their names. It is an ordinary user's (``SimulatedDisk/userID``), but may take
/// every port, also one below 1024 (as with `net.ipv4.ip_unprivileged_port_start` 0 of ip(7)). Everything here has to
/// be called by code of the simulation: by the body of ``Simulation/run(_:)``, or by what runs on a host.
public final class SimulatedHost: @unchecked Sendable, CustomStringConvertible {
    /// What the host is called: its name for ``lookUp(_:_:version:resolver:)``, too.
    public let name: String
    /// Its addresses, without ports: one of IPv4, one of IPv6.
    public let addresses: [SocketAddress]
    unowned let world: World
    /// Tells hosts apart in traces.
    let number: Int
    /// Its disk, which survives crashes.
    public let disk: SimulatedDisk
    /// What the host's children inherit.
    public var environment = ["HOME": "/", "PATH": "/bin:/usr/bin"]
    /// How time goes on here.
    let pace = HostPace()
    /// The run of now; nil while the host is down.
    private(set) var life: HostLife? { didSet { world.livesHaveChanged = true } }
    private var programs: [(name: String, body: @Sendable () async throws -> Void)] = []

    init(_ name: String, number: Int, addresses: [SocketAddress], in world: World) throws {
        self.name = name
        self.number = number
        self.addresses = addresses
        self.world = world
        disk = SimulatedDisk(world)
        try begin()
    }

    /// `client`.
    public var description: String { name }

    /// The network of the machine: also after its program has ended, as long as it has power.
    private(set) var machine: HostNetwork?

    private func begin() throws {
        let life = try HostLife(self)
        self.life = life
        machine = life.kernel.network
    }

    /// Whether the host runs.
    public var isUp: Bool { life != nil }

    /// The loop that the host's program runs on. Throws ``SimulationError/hostIsDown(_:)``.
    public var loop: EventLoop {
        get throws {
            guard let life else { throw SimulationError.hostIsDown(name) }
            return life.loop
        }
    }

    /// What the machine runs from its start: begins now, and again after each ``restart()``.
    ///
    /// An error that it throws fails the simulation, unless the host has crashed or was shut down.
    public func program(_ name: String = "program", _ body: @escaping @Sendable () async throws -> Void) throws {
        programs.append((name, body))
        try begin(name, body)
    }

    /// Runs a body on the host, and returns its value or throws its error. The body has the caller's task locals.
    ///
    /// Suspends until the body has ended. A cancelled caller cancels the body. Throws
    /// ``SimulationError/hostIsDown(_:)`` if the host is down, or crashes meanwhile.
    public func run<Success: Sendable>(
        _ name: String = "run", _ body: @escaping @Sendable () async throws -> Success
    ) async throws -> Success {
        guard let life else { throw SimulationError.hostIsDown(self.name) }
        let work = life.loop.submitForCaller(name: "\(self.name): \(name)", body)
        do {
            let value = try await withTaskCancellationHandler {
                do { return try await work.value } catch is CancellationError where Task.isCancelled {
                    // Whoever is cancelled does not wait any more, and the body has not ended.
                    return try await Task(executorPreference: EventLoop.current) { try await work.value }.value
                }
            } onCancel: {
                work.cancel()
            }
            if !life.kernel.hasCrashed || life.kernel.isShuttingDown { return value }
        } catch {
            if !life.kernel.hasCrashed { throw error }
        }
        throw SimulationError.hostIsDown(self.name)
    }

    /// Starts a body on the host in the background. Its error fails the simulation, as that of a program.
    public func spawn(_ name: String = "spawn", _ body: @escaping @Sendable () async throws -> Void) throws {
        try begin(name, body)
    }

    private func begin(_ name: String, _ body: @escaping @Sendable () async throws -> Void) throws {
        guard let life else { throw SimulationError.hostIsDown(self.name) }
        let kernel = life.kernel
        _ = life.loop.submitForCaller(name: "\(self.name): \(name)") { [world, host = self.name] in
            do {
                try await body()
            } catch {
                guard !kernel.isEnding, !world.isEnding else { return }
                world.fail(SimulationError.programFailed(host: host, program: name, "\(error)"))
            }
        }
    }

    /// The power fails: connections are gone without a word, what the disk had not synced may be lost.
    ///
    /// The tasks of the host are cancelled, and every call that they make fails; nothing that they do reaches another
    /// host or the disk. Does not suspend. A host that is down stays as it is.
    public func crash() {
        guard let life else { return }
        world.record(self, "crash")
        self.life = nil
        machine = nil
        life.kernel.crash()
        world.bury(life)
    }

    /// The host's program is killed, as by SIGKILL: its tasks end, its descriptors are closed, and peers hear of it.
    /// The machine goes on: what is on its way arrives, whoever connects is refused, and the disk keeps all that was
    /// written.
    ///
    /// Does not suspend. A host that is down stays as it is; ``restart()`` starts the program again.
    public func kill() {
        guard let life else { return }
        world.record(self, "kill")
        self.life = nil
        life.kernel.shutDown()
        world.bury(life)
    }

    /// Lets system calls of a name fail, as they are called in timelines: `accept`, `connect`, `read`, `write`,
    /// `socket`, `bind`, `listen`, `close` … So many of them, after some that do not.
    ///
    /// A descriptor is closed whatever its close(2) reports. Ends with this run of the host.
    public func failCalls(_ call: String, with code: Errno, times: Int = 1, after skipped: Int = 0) {
        guard times > 0 else { return }
        life?.kernel.orders.append(.init(call: call, code: code, skipped: max(skipped, 0), times: times))
    }

    /// Lets calls fail no more that were told to.
    public func failCallsNoMore() { life?.kernel.orders = [] }

    /// The world has ended.
    func forget() {
        life = nil
        machine = nil
    }

    /// How many descriptors the host has open.
    public var openDescriptors: Int { life?.kernel.openDescriptors ?? 0 }

    /// How many TCP connections the host knows of, also such as its program has closed and the peer has not.
    package var openConnections: Int { life?.kernel.network.openConnections ?? 0 }

    /// Lets the power fail after so many more system calls of the host: at one, or two, or each point in turn.
    public func crash(afterCalls count: Int) {
        life?.kernel.callsLeft = max(count, 0)
    }

    /// Lets the host do nothing for a while, as a machine that is suspended or out of breath. What reaches it waits.
    public func pause(for duration: Duration) {
        world.record(self, "pause")
        pace.pausedUntil = max(pace.pausedUntil, world.now.advanced(by: duration))
    }

    /// How fast the host's clock goes: 1.01 means one per cent fast. Timers and timeouts go with it. From 0.001
    /// to 1000.
    public var clockRate: Double {
        get { pace.clock.rate }
        set {
            guard (0.001...1000).contains(newValue) else {
                return world.fail(SimulationError.checkFailed("a clock's rate is 0.001 to 1000, not \(newValue)"))
            }
            pace.clock.setRate(newValue, at: world.now)
        }
    }

    /// Starts the host again, with what its disk has kept, and everything that was given to ``program(_:_:)``.
    public func restart() throws {
        guard !world.isEnding else { throw SimulationError.hostIsDown(name) }
        if life != nil { crash() }
        world.record(self, "restart")
        try begin()
        for program in programs { try begin(program.name, program.body) }
    }

    /// Ends what runs on the host in good order, as the end of `EventLoop.run` does: tasks are cancelled and may take
    /// the grace period; connections are closed; the disk keeps everything. The machine goes on, as after ``kill()``.
    ///
    /// Suspends until the end. Throws ``EventLoopError/ignoredCancellation(_:)`` with the names of those that would not
    /// stop.
    public func shutdown(grace: Duration = .seconds(5)) async throws {
        guard let life else { return }
        world.record(self, "shutdown")
        life.kernel.isShuttingDown = true
        life.loop.cancelTasks()
        let end = world.now.advanced(by: grace)
        while !life.loop.remains.tasks.isEmpty && world.now < end {
            try await world.sleep(for: .milliseconds(1))
            // Crashed meanwhile, and perhaps started again.
            guard self.life === life else { return }
        }
        let stubborn = life.loop.remains.tasks
        self.life = nil
        life.kernel.shutDown()
        world.bury(life)
        if !stubborn.isEmpty { throw EventLoopError.ignoredCancellation(stubborn) }
    }
}

/// One run of a host, from its start to its crash.
final class HostLife {
    let kernel: HostKernel
    let driver: SimulatedDriver
    let loop: EventLoop
    private let pace: HostPace
    /// How many turns it may still take, once it is over; then it stands still.
    var turnsLeft = Int.max

    init(_ host: SimulatedHost) throws {
        pace = host.pace
        kernel = HostKernel(host, disk: host.disk)
        driver = SimulatedDriver(kernel)
        let world = host.world
        let name = host.name
        let options = EventLoop.Options(
            name: name, mode: .guest, interrupts: [],
            errorHandler: .init { [failures = world.failures, kernel] error in
                // What goes on after the end reaches nobody.
                if !kernel.isEnding { failures.world?.unhandled(error, on: name) }
            })
        loop = try .simulated(options: options, driver: driver)
        if !loop.takePlainTasks() { world.plainTasksEscape = true }
    }

    /// Whether a turn would do something now.
    func isReady(at now: Instant) -> Bool {
        if now < pace.pausedUntil || turnsLeft <= 0 { return false }
        if driver.hasSomething || !loop.isIdle { return true }
        guard let timer = loop.nextTimer else { return false }
        return timer <= pace.clock.time(at: now)
    }

    /// When a turn will do something, if nothing happens before.
    var nextTime: Instant {
        if turnsLeft <= 0 { return .distantFuture }
        let isWaiting = driver.hasSomething || !loop.isIdle
        let time = isWaiting ? .distantPast : loop.nextTimer.map(pace.clock.worldTime(of:)) ?? .distantFuture
        return max(time, pace.pausedUntil)
    }
}
