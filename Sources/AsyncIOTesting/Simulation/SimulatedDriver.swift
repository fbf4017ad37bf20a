import AsyncIOKernel
import AsyncIOLoop
import CAsyncIO
import SystemPackage

/// The driver of a simulated host's loop: the real drivers' calls on descriptors (``DescriptorCore``), over the
/// simulated kernel of the host and the simulation's clock.
///
/// So the part of a driver that is most easily wrong, what it remembers of descriptors, what it tries again, what it
/// takes for the end, is the same code as in production, and meets short reads, spurious wake-ups and late events as
/// the seed deals them out.
@safe
final class SimulatedDriver: Driver, LoopSimulator {
    let name = "simulated"
    let core = DescriptorCore()
    let kernel: HostKernel
    private(set) var standIn: StandInHolder?
    /// Kept alive as long as somebody keeps the loop; ``World/end()`` takes the loops away from it.
    let world: World
    private let pace: HostPace
    /// Edges that nobody has been told of.
    @safe @exclusivity(unchecked) private var edges: [(handle: Handle, bits: UInt32)] = []
    @safe @exclusivity(unchecked) private var told: [(handle: Handle, bits: UInt32)] = []
    /// Calls on files that take their time.
    private var files: [Token: Agenda.Entry] = [:]
    @safe @exclusivity(unchecked) private var completed: [Completion] = []
    /// A bug for tests to find: events reach whoever has the number now.
    var forgetsGenerations = false

    init(_ kernel: HostKernel) {
        self.kernel = kernel
        world = kernel.world
        pace = kernel.host.pace
        standIn = StandInHolder(kernel)
        unsafe core.source = self
        kernel.driver = self
    }

    var now: Instant { pace.clock.time(at: world.now) }
    var simulator: (any LoopSimulator)? { self }

    func submit(_ operation: Operation, token: Token) -> Submission { core.submit(operation, token: token) }

    func cancel(_ token: Token) {
        guard let entry = files[token] else { return core.cancel(token) }
        if kernel.disk.hasBegun() { return }
        files[token] = nil
        world.agenda.remove(entry)
        completed.append(Completion(token, .cancelled))
    }

    func rival(of operation: Operation) -> Token? { core.rival(of: operation) }

    /// Whether a wait would bring something.
    var hasSomething: Bool { !edges.isEmpty || !completed.isEmpty || core.hasSomething }

    /// Returns at once: it is the simulation that waits, when no loop has anything to do.
    func wait(until deadline: Instant?, into completions: inout CompletionList) {
        _ = core.advance(into: &completions)
        core.nextTurns(into: &completions)
        if !completed.isEmpty {
            completions.append(contentsOf: completed)
            completed.removeAll(keepingCapacity: true)
        }
        guard !edges.isEmpty else { return }
        swap(&edges, &told)
        if told.count > 1 { shuffle() }
        for edge in told {
            let handle = forgetsGenerations ? kernel[edge.handle.descriptor]?.watches.first ?? edge.handle : edge.handle
            core.notice(handle, edge.bits, into: &completions)
        }
        told.removeAll(keepingCapacity: true)
    }

    /// The kernel promises no order among descriptors.
    private func shuffle() {
        for index in stride(from: told.count - 1, to: 0, by: -1) {
            told.swapAt(index, index - world.choose("event", among: index + 1))
        }
    }

    nonisolated func wake() {}

    func close() {
        core.close()
        edges = []
    }

    func describe(_ token: Token) -> String? {
        guard let (verb, number) = core.describe(token) else { return nil }
        return "\(verb) on \(kernel[number]?.label ?? "descriptor \(number)")"
    }

    // MARK: The kernel's side

    /// The kernel reports an edge.
    func raise(_ handle: Handle, _ bits: UInt32) {
        if let index = edges.firstIndex(where: { $0.handle == handle }) {
            edges[index].bits |= bits
        } else {
            edges.append((handle, bits))
        }
    }

    /// An event that nothing has caused, as kernels send them.
    func disturb() {
        let watched = kernel.watchedHandles
        guard !watched.isEmpty else { return }
        var details = world.perturbations.details
        let handle = watched[details.below(watched.count)]
        let noise = kernel[handle.descriptor]?.noise ?? 0
        if noise != 0 { raise(handle, noise) }
    }

    // MARK: The simulation's side

    func step() { world.step() }
    func note(_ task: TaskID, waitsAt place: Any.Type?) { world.note(task, waitsAt: place, on: kernel.host) }
    func choose(among count: Int) -> Int { world.choose("job", among: count) }
    var offloadsToThreads: Bool { world.offloadsToThreads }
    func timeForBlockingWork(_ name: String) -> Duration { world.timeForBlockingWork(name) }
    var plainTaskHomes: PlainTaskHomes { world.plainTaskHomes }
}

extension SimulatedDriver: ReadinessSource {
    func watch(_ handle: Handle) -> Int {
        guard let description = kernel[handle.descriptor] else { return Errno.badFileDescriptor.negated }
        description.watches.append(handle)
        let ready = description.readiness
        if ready != 0 { raise(handle, ready) }
        return 0
    }

    func watch(foreign handle: Handle, _ interest: UInt32, isWatched: Bool) -> Int {
        guard let description = kernel[handle.descriptor] else { return Errno.badFileDescriptor.negated }
        description.forgetForeign { $0.descriptor == handle.descriptor }
        if interest != 0 { description.foreignWatches.append((handle, interest)) }
        let ready = interest == 0 ? 0 : description.readiness & (interest | Interest.hangUp | Interest.error)
        if ready != 0 { description.raise(ready) }
        return 0
    }

    func forget(_ handle: Handle) {
        guard let description = kernel[handle.descriptor] else { return }
        description.watches.removeAll { $0 == handle }
        description.forgetForeign { $0 == handle }
    }

    func abandon(_ handle: Handle) {}

    func submit(_ call: FileCall, token: Token) -> Submission {
        guard !kernel.countDown() else { return .completed(Outcome(Errno.ioError.negated)) }
        let time = kernel.disk.time(for: call)
        guard time > .zero else { return .completed(finish(call)) }
        files[token] = world.at(world.now.advanced(by: time)) { [weak self] in
            guard let self, files.removeValue(forKey: token) != nil else { return }
            completed.append(Completion(token, finish(call)))
        }
        return .pending
    }

    private func finish(_ call: FileCall) -> Outcome {
        let outcome = kernel.hasNoPower ? Outcome(Errno.ioError.negated) : kernel.disk.perform(call, kernel)
        world.record(kernel.host, "file", Int(call.descriptor), outcome.result, call.name)
        return outcome
    }
}
