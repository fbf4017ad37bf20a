import AsyncIO
public import AsyncIOKernel
package import AsyncIOLoop

/// A simulated world: hosts, the network between them, and one clock.
///
/// Time stands still while anything can run, and then jumps to the next thing that happens. All hosts share one thread,
/// and everything that a real machine leaves to chance is drawn from the seed. To be used by code of the simulation
/// alone: the body of ``Simulation/run(_:)`` and what runs on its hosts.
public final class World: @unchecked Sendable {
    /// The seed of this run.
    public let seed: UInt64
    /// How unkind the world is.
    @safe @exclusivity(unchecked) public var faults: SimulationFaults
    /// The hosts, in the order in which they were added.
    public private(set) var hosts: [SimulatedHost] = [] { didSet { livesHaveChanged = true } }
    /// Whether an error on a host that nobody awaits fails the simulation. Otherwise it only stands in the timeline.
    public var failsOnUnhandledErrors = true
    /// Who is told of errors on hosts that nobody awaits, instead of ``failsOnUnhandledErrors``.
    package var errorHandler: (@Sendable (UnhandledError) -> Void)?
    /// The network between the hosts.
    public private(set) lazy var network = SimulatedNetwork(self)

    @safe @exclusivity(unchecked) var now = World.start
    @safe @exclusivity(unchecked) var random: SimulatedRandom
    @safe @exclusivity(unchecked) var perturbations: Perturbations
    @safe @exclusivity(unchecked) var agenda = Agenda()
    @safe @exclusivity(unchecked) var trace: SimulationTrace
    @safe @exclusivity(unchecked) var failure: (any Error)?
    var isEnding = false
    /// Plain tasks do not stay in this simulation: the process does not allow it.
    var plainTasksEscape = false
    /// The loop of the simulation's body: a host without a network of its own.
    private(set) var director: SimulatedHost? { didSet { livesHaveChanged = true } }
    /// Runs of hosts that are over, whose tasks may not have ended.
    @safe @exclusivity(unchecked) private var buried: [HostLife] = [] { didSet { livesHaveChanged = true } }
    /// The kernels of runs that are over: packets on their way still name their sockets.
    private var graves: [HostKernel] = []
    /// All runs of hosts.
    @safe @exclusivity(unchecked) private var lives = HostLives([])
    /// Somebody has started or ended.
    @safe @exclusivity(unchecked) var livesHaveChanged = true
    /// Those who wait until nothing else can run.
    @safe @exclusivity(unchecked) var idlers: [AsyncEvent] = []
    private let options: Simulation
    /// Where plain tasks stay, whoever wakes them.
    let plainTaskHomes = PlainTaskHomes()
    private var parked: ParkedTasks
    private let sleeper = Condition(())
    @safe @exclusivity(unchecked) private var turnsInPlace = 0
    private var timeToStop: Instant
    /// Where loops report errors that nobody awaits, also when the world is gone.
    let failures = FailureReports()

    static let start = Instant(nanoseconds: 1_000_000_000)

    init(_ options: Simulation, only allowed: Set<Int>? = nil, keepsChoices: Bool = false) {
        self.options = options
        seed = options.seed
        faults = options.faults
        var seeds = SimulatedRandom(seed: options.seed)
        random = seeds.split()
        perturbations = Perturbations(seed: seeds.next(), only: allowed, keepsThem: keepsChoices)
        trace = SimulationTrace(capacity: options.timelineLength)
        timeToStop = World.start.advanced(by: options.timeLimit)
        parked = ParkedTasks(knowsLongest: options.stuckAfter != nil)
        failures.world = self
    }

    deinit { failures.world = nil }

    // MARK: Building

    /// Adds a host. Without addresses it gets the next ones of 10.0.0.0/8 and fd00::/8.
    ///
    /// Throws ``SimulationError/taken(_:)`` for a name or address that is taken, and ``IOError`` if the real system
    /// refuses something.
    public func addHost(_ name: String, addresses: [SocketAddress]? = nil) throws -> SimulatedHost {
        guard !isEnding else { throw SimulationError.hostIsDown(name) }
        guard !hosts.contains(where: { $0.name == name }) else { throw SimulationError.taken("the host \(name)") }
        let number = hosts.count + 1
        let wanted = try addresses ?? SimulatedNetwork.usualAddresses(number)
        for address in wanted where host(at: address) != nil { throw SimulationError.taken("\(address.host)") }
        let host = try SystemCall.askingTheKernel {
            try SimulatedHost(name, number: number, addresses: wanted, in: self)
        }
        hosts.append(host)
        trace.names.append(name)
        record(host, "host")
        return host
    }

    /// The host that has an address; the port does not matter.
    func host(at address: SocketAddress) -> SimulatedHost? {
        Endpoint(address).flatMap { network.owner(of: $0.address) }
    }

    func makeDirector() throws -> HostLife {
        let host = try SystemCall.askingTheKernel {
            try SimulatedHost("simulation", number: 0, addresses: [], in: self)
        }
        director = host
        guard let life = host.life else { throw SimulationError.hostIsDown("simulation") }
        return life
    }

    // MARK: Time and chance

    /// How much simulated time has passed.
    public var elapsed: Duration { World.start.duration(to: now) }

    /// Suspends for a while of simulated time, on whatever host the caller runs. Throws `CancellationError`.
    public func sleep(for duration: Duration) async throws {
        try await EventLoop.ambient.sleep(for: duration)
    }

    /// Draws a number from the seed.
    public func random<Number: FixedWidthInteger>(in range: ClosedRange<Number>) -> Number {
        Number.random(in: range, using: &random)
    }

    /// True with a probability between 0 and 1, drawn from the seed.
    public func happens(_ probability: Double) -> Bool { random.happens(probability) }

    /// Draws one of them; nil if there is none.
    public func pick<Element>(_ elements: some Collection<Element>) -> Element? {
        elements.randomElement(using: &random)
    }

    /// Writes a line into the simulation's timeline; it counts for the trace's hash.
    public func note(_ text: String) {
        trace.record(now, .nobody, "note", 0, 0, text)
    }

    /// Fails the simulation if the condition does not hold.
    public func check(_ condition: Bool, _ text: @autoclosure () -> String) {
        if !condition { fail(SimulationError.checkFailed(text())) }
    }

    /// Fails the simulation: its body is cancelled, and its run throws this error, the first one.
    public func fail(_ error: any Error) {
        guard failure == nil, !isEnding else { return }
        failure = error
        trace.record(now, .nobody, "failure")
    }

    // MARK: What kernels and drivers ask

    @discardableResult
    func at(_ time: Instant, _ action: @escaping () -> Void) -> Agenda.Entry { agenda.add(at: time, action) }

    func record(
        _ host: SimulatedHost, _ verb: StaticString, _ subject: Int = 0, _ result: Int = 0, _ text: String? = nil
    ) {
        record(SimulationTrace.Subject(host: host.number), verb, subject, result, text)
    }

    @inline(__always)
    func record(
        _ whom: SimulationTrace.Subject, _ verb: StaticString, _ subject: Int = 0, _ result: Int = 0,
        _ text: String? = nil
    ) {
        trace.record(now, whom, verb, subject, result, text)
    }

    func choose(_ verb: StaticString, among count: Int) -> Int {
        let chosen = perturbations.choose(verb, among: count, at: now)
        if chosen != 0 { trace.note(choice: chosen, among: count) }
        return chosen
    }

    func strikes(_ verb: StaticString, _ probability: Double) -> Bool {
        perturbations.happens(verb, probability, at: now)
    }

    func unhandled(_ error: UnhandledError, on host: String) {
        if let errorHandler {
            errorHandler(error)
        } else if failsOnUnhandledErrors {
            fail(SimulationError.unhandled(host: host, "\(error)"))
        } else if !isEnding {
            note("\(host): \(error)")
        }
    }

    func notSimulated(_ call: String) { fail(SimulationError.notSimulated(call)) }

    func addresses(of name: String) -> [SocketAddress]? {
        let name = (name.hasSuffix(".") ? String(name.dropLast()) : name).lowercased()
        if name == "localhost" { return [.loopback(port: 0)] }
        return hosts.first { $0.name.lowercased() == name }?.addresses
    }

    func name(of address: SocketAddress) -> String? { host(at: address)?.name }

    func timeToLookUp() -> Duration { .microseconds(200 + random.below(800)) }

    func timeForBlockingWork(_ name: String) -> Duration { .microseconds(50 + random.below(450)) }

    // MARK: Turning

    /// A host's run is over: its tasks are cancelled, and run to their ends without reaching anybody.
    func bury(_ life: HostLife) {
        life.loop.cancelEverything()
        life.turnsLeft = 10_000
        buried.append(life)
    }

    /// One step: what is due happens, or one loop takes a turn, or time goes on.
    func step() {
        while let action = agenda.takeDue(at: now) { action() }
        if livesHaveChanged { listLives() }
        let (ready, first) = lives.ready(at: now)
        if ready == 0 { return goOn() }
        turnsInPlace += 1
        if turnsInPlace > options.turnLimit {
            fail(SimulationError.spins(turns: turnsInPlace, waits()))
            timeToStop = now
        }
        let life = lives.ready(choose("host", among: ready), after: first, at: now)
        if strikes("spurious wake-up", faults.spuriousWakeUps) { life.driver.disturb() }
        if life.turnsLeft != .max { life.turnsLeft -= 1 }
        life.loop.turn()
    }

    private func forEachLife(_ body: (HostLife) -> Void) {
        if livesHaveChanged { listLives() }
        for life in lives.all { body(life) }
    }

    private func listLives() {
        livesHaveChanged = false
        lives = HostLives([director?.life].compactMap(\.self) + hosts.compactMap(\.life) + buried)
    }

    /// Whether blocking work is done by threads.
    var offloadsToThreads: Bool { options.blockingWork == .onThreads }

    /// Whether the answer of a thread is still to come. Waits a moment for it, in real time.
    private func awaitsThreads() -> Bool {
        guard offloadsToThreads else { return false }
        var awaits = false
        forEachLife { if $0.loop.awaitsOffloadedWork { awaits = true } }
        // Threads wake nobody who does not sleep in a driver.
        if awaits {
            let end = Instant.monotonicNow.advanced(by: .microseconds(100))
            _ = sleeper.wait(until: end) { _ in nil as Void? }
        }
        return awaits
    }

    /// The loops are asked once more before time goes on.
    @safe @exclusivity(unchecked) private var hasAskedAgain = false

    /// Nothing can run now: who waits for that goes on, or time jumps to whatever comes next.
    private func goOn() {
        if awaitsThreads() { return }
        if !idlers.isEmpty {
            let woken = idlers
            idlers = []
            for idle in woken { idle.set() }
            return
        }
        turnsInPlace = 0
        removeTheQuiet()
        if livesHaveChanged { listLives() }
        let next = min(agenda.next ?? .distantFuture, lives.nextTime)
        // A thread's answer may have come since the loops were asked whether they have something to do.
        hasAskedAgain = offloadsToThreads && next <= now && !hasAskedAgain
        if hasAskedAgain { return }
        if next == .distantFuture {
            isStuck = true
            fail(SimulationError.deadlock(waits()))
        } else if next > timeToStop && !isEnding && failure == nil {
            fail(SimulationError.outOfTime(options.timeLimit, waits()))
        } else if let stuck = stuckTasks(before: next) {
            fail(stuck)
        } else {
            // A clock that goes at another rate may be a nanosecond short of its timer.
            now = max(now.advanced(by: .nanoseconds(1)), next)
        }
    }

    /// The tasks that will have waited for too long when time has come so far. Time goes on to that moment.
    private func stuckTasks(before next: Instant) -> SimulationError? {
        guard let limit = options.stuckAfter, !isEnding, failure == nil, let start = parked.longest else { return nil }
        let end = start.advanced(by: limit)
        guard end < next else { return nil }
        now = max(now, end)
        return .stuck(limit, parked.lines(since: start.advanced(by: end.duration(to: now))))
    }

    /// Lets go of runs that are over and whose tasks have ended.
    private func removeTheQuiet() {
        guard !buried.isEmpty, buried.contains(where: \.loop.isQuiet) else { return }
        for life in buried where life.loop.isQuiet {
            life.loop.closeSimulated()
            graves.append(life.kernel)
        }
        buried.removeAll { $0.loop.isClosed }
    }

    /// Nothing happens any more, unless somebody is cancelled.
    @safe @exclusivity(unchecked) private(set) var isStuck = false

    /// Lets the world go on until the condition holds, the world fails, or nothing happens any more.
    func turn(until isDone: () -> Bool) {
        isStuck = false
        while !isDone() && !isStuck && failure == nil { step() }
    }

    /// Lets the world go on after a failure, so that what was cancelled can end.
    func unwind(until isDone: () -> Bool) {
        isEnding = true
        isStuck = false
        turnsInPlace = 0
        var steps = 0
        while !isDone() && !isStuck && steps < 100_000 {
            step()
            steps += 1
        }
    }

    /// Ends every loop.
    func end() {
        isEnding = true
        removeTheQuiet()
        var lives: [HostLife] = []
        forEachLife { lives.append($0) }
        for life in lives { life.loop.cancelEverything(shielded: false) }
        let end = now.advanced(by: .seconds(5))
        unwind { now >= end || lives.allSatisfy(\.loop.isQuiet) }
        for life in lives { life.loop.cancelEverything() }
        unwind { lives.allSatisfy(\.loop.isQuiet) }
        let stubborn = lives.filter { $0.turnsLeft == .max }.flatMap(\.loop.remains.tasks)
        if failure == nil, !stubborn.isEmpty { failure = EventLoopError.ignoredCancellation(stubborn) }
        for life in lives where !life.loop.isClosed { life.loop.closeSimulated() }
        // The loops keep the world; it lets go of them.
        for host in hosts { host.forget() }
        director?.forget()
        director = nil
        buried = []
        self.lives = HostLives([])
        agenda = Agenda()
    }

    func note(_ task: TaskID, waitsAt place: Any.Type?, on host: SimulatedHost) {
        if let place { parked.add(task, at: place, on: host.name, now: now) } else { parked.remove(task) }
    }

    /// What each task waits for, as far as the loops know.
    func waits() -> [String] {
        var lines = parked.lines()
        forEachLife { life in
            for line in life.loop.waits { lines.append("\(life.loop.name): \(line)") }
        }
        if plainTasksEscape {
            lines.append("plain tasks may be on threads of their own: this Swift lets nobody keep them")
        }
        return lines
    }
}

/// Leads from a loop to its world, as long as that one lives.
final class FailureReports: @unchecked Sendable {
    // Cleared before the world goes. On its thread, as everything of a world.
    unowned(unsafe) private var owner: World?

    var world: World? {
        get { unsafe owner }
        set { unsafe owner = newValue }
    }
}
