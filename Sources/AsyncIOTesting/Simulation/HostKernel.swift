import AsyncIOKernel
import AsyncIOLoop
import CAsyncIO
import Glibc
import SystemPackage

/// The kernel of one simulated host: its descriptors, sockets, files and children.
///
/// It lives from the host's start to its crash. One that has crashed answers every call with `EIO`: whatever tasks were
/// left end by that, and nothing that they do reaches anybody. Used on the simulation's thread alone.
final class HostKernel: @unchecked Sendable {
    var world: World { unsafe owner }
    // A kernel is asked by its loop, whose driver keeps the world, and by the world. A safe reference would be counted
    // at every system call.
    private unowned(unsafe) let owner: World
    unowned let host: SimulatedHost
    /// The host, in traces.
    private let whom: SimulationTrace.Subject
    /// Whom ``OpenDescription/raise(_:)`` tells.
    var driver: SimulatedDriver? {
        get { unsafe reporter }
        set { unsafe reporter = newValue }
    }
    // The driver owns the kernel.
    private unowned(unsafe) var reporter: SimulatedDriver?
    private(set) var hasCrashed = false
    /// So many calls are left until the power fails.
    var callsLeft: Int?
    /// Whether nothing reaches anybody any more.
    var hasNoPower: Bool { hasCrashed || (callsLeft ?? 0) < 0 }
    /// Whether what still runs is none of anybody's business: errors of it are no failures.
    var isEnding: Bool { hasNoPower || isShuttingDown }
    /// Calls that are to fail.
    struct FailureOrder {
        let call: String
        let code: Errno
        var skipped: Int
        var times: Int
    }
    @safe @exclusivity(unchecked) var orders: [FailureOrder] = []
    /// The host is about to end in good order.
    var isShuttingDown = false
    /// The host's network: who listens, which ports are taken.
    let network: HostNetwork
    /// The host's disk as this run of it sees it.
    let disk: SimulatedDisk
    /// The children of this run of the host.
    let children: HostChildren
    /// Who listens to signals.
    let signals = HostSignals()

    /// Which numbers are open. The lowest free one is given out, as the kernel does it.
    @safe @exclusivity(unchecked) private var descriptions: [OpenDescription?] = []
    private var open = 0
    /// No lower one is free.
    private var lowestFree = 0
    /// Lower numbers are the real process's, should anybody mistake the one for the other.
    private static let firstNumber = 768

    init(_ host: SimulatedHost, disk: SimulatedDisk) {
        unsafe owner = host.world
        whom = .init(host: host.number)
        self.host = host
        self.disk = disk
        network = HostNetwork(host)
        children = HostChildren()
    }

    /// How many descriptors are open.
    var openDescriptors: Int { open }

    /// Each open descriptor, and what it refers to.
    var descriptorNames: [String] {
        descriptions.enumerated().compactMap { index, description in
            description.map { "\(index + Int(Self.firstNumber)) \($0.label)" }
        }
    }

    subscript(number: CInt) -> OpenDescription? {
        let index = Int(number) - Self.firstNumber
        return index >= 0 && index < descriptions.count ? descriptions[index] : nil
    }

    /// Gives a description the lowest free number that is not below the limit. `EMFILE` beyond the host's limit.
    func install(_ description: OpenDescription, notBelow limit: CInt = 0) -> Int {
        guard open < world.faults.descriptorLimit else { return Errno.tooManyOpenFiles.negated }
        description.references += 1
        open += 1
        let lowest = max(Int(limit) - Self.firstNumber, 0)
        let start = max(lowest, lowestFree)
        while descriptions.count < lowest { descriptions.append(nil) }
        let free = start < descriptions.count ? descriptions[start...].firstIndex { $0 == nil } : nil
        if start == lowestFree { lowestFree = (free ?? descriptions.count) + 1 }
        if let free {
            descriptions[free] = description
            return free + Self.firstNumber
        }
        descriptions.append(description)
        return descriptions.count - 1 + Self.firstNumber
    }

    /// The handles under which the driver watches descriptors.
    var watchedHandles: [Handle] { descriptions.flatMap { $0?.watches ?? [] } }

    /// Whether the host has no power any more. Its last call has been; all the rest of its end comes right after this
    /// turn of its loop, which is in the midst of something.
    func countDown() -> Bool {
        guard !hasCrashed, let left = callsLeft else { return hasCrashed }
        callsLeft = left - 1
        guard left <= 0 else { return false }
        if left == 0 {
            world.at(world.now) { [host, weak self] in if let self, host.life?.kernel === self { host.crash() } }
        }
        return true
    }

    /// The error that a call of this name was told to report now.
    private func orderedError(_ verb: StaticString) -> Int? {
        guard !orders.isEmpty, let index = orders.firstIndex(where: { $0.call == "\(verb)" }) else { return nil }
        guard orders[index].skipped == 0 else {
            orders[index].skipped -= 1
            return nil
        }
        orders[index].times -= 1
        let code = orders[index].code.negated
        if orders[index].times <= 0 { orders.remove(at: index) }
        return code
    }

    /// Does a call on a descriptor, and notes it.
    private func on(
        _ number: CInt, _ verb: StaticString, canFail: Bool = true, _ call: (OpenDescription) -> Int
    ) -> Int {
        let result: Int
        if countDown() {
            result = Errno.ioError.negated
        } else if canFail, let code = orderedError(verb) {
            result = code
        } else if let description = self[number] {
            result = call(description)
        } else {
            result = Errno.badFileDescriptor.negated
        }
        world.record(whom, verb, Int(number), result)
        return result
    }

    private func on(
        _ number: CInt, _ verb: StaticString, _ call: (OpenDescription) -> (Int, [UInt8])
    ) -> (Int, [UInt8]) {
        var bytes: [UInt8] = []
        let result = on(number, verb) { description in
            let answer = call(description)
            bytes = answer.1
            return answer.0
        }
        return (result, bytes)
    }

    /// The host has ended in good order: what is still open is closed.
    func shutDown() {
        for index in descriptions.indices where descriptions[index] != nil {
            _ = close(CInt(index + Self.firstNumber))
        }
        hasCrashed = true
    }

    /// The host has lost its power: everything is gone but what the disk keeps.
    func crash() {
        guard !hasCrashed else { return }
        hasCrashed = true
        network.crash(self)
        children.crash(self)
        disk.crash()
        for description in descriptions { description?.kernel = nil }
        descriptions = []
        open = 0
    }
}

extension HostKernel: SystemStandIn {
    func refuse(_ call: StaticString) -> Int {
        if hasCrashed { return Errno.ioError.negated }
        world.notSimulated("\(call)")
        return Errno.noFunction.negated
    }

    // MARK: Sockets

    func socket(family: CInt, type: CInt) -> Int {
        guard !countDown() else { return Errno.ioError.negated }
        if let code = orderedError("socket") { return code }
        let made = network.makeSocket(self, family: family, type: type)
        let result = made.map { install($0) } ?? refuse("a socket of this family or type")
        world.record(host, "socket", Int(type), result)
        return result
    }

    func socketPair(type: CInt) -> (result: Int, CInt, CInt) {
        guard !countDown() else { return (Errno.ioError.negated, -1, -1) }
        return installBoth(network.makePair(self, type: type), "socketpair")
    }

    func pipe() -> (result: Int, CInt, CInt) {
        guard !countDown() else { return (Errno.ioError.negated, -1, -1) }
        return installBoth(network.makePipe(self), "pipe")
    }

    private func installBoth(
        _ ends: (OpenDescription, OpenDescription), _ verb: StaticString
    ) -> (result: Int, CInt, CInt) {
        let first = install(ends.0)
        guard first >= 0 else { return (first, -1, -1) }
        let second = install(ends.1)
        guard second >= 0 else {
            _ = close(CInt(truncatingIfNeeded: first))
            return (second, -1, -1)
        }
        world.record(host, verb, first, second)
        return (0, CInt(truncatingIfNeeded: first), CInt(truncatingIfNeeded: second))
    }

    func bind(_ descriptor: CInt, _ address: SocketAddress) -> Int {
        on(descriptor, "bind") { $0.bind(address) }
    }

    func listen(_ descriptor: CInt, backlog: CInt) -> Int {
        on(descriptor, "listen") { $0.listen(backlog: max(Int(backlog), 1)) }
    }

    func accept(_ descriptor: CInt) -> (Int, [UInt8]) { on(descriptor, "accept") { $0.accept() } }

    func connect(_ descriptor: CInt, _ address: SocketAddress) -> Int {
        on(descriptor, "connect") { $0.connect(address) }
    }

    func localAddress(_ descriptor: CInt) -> (Int, [UInt8]) { on(descriptor, "getsockname") { $0.localAddress } }
    func peerAddress(_ descriptor: CInt) -> (Int, [UInt8]) { on(descriptor, "getpeername") { $0.peerAddress } }
    func pendingError(_ descriptor: CInt) -> Int { on(descriptor, "error") { $0.takePendingError() } }
    func finishSending(_ descriptor: CInt) -> Int { on(descriptor, "shutdown") { $0.finishSending() } }

    func option(_ descriptor: CInt, level: CInt, name: CInt, size: Int) -> (Int, [UInt8]) {
        on(descriptor, "getsockopt") { $0.option(level: level, name: name, size: size) }
    }

    func setOption(_ descriptor: CInt, level: CInt, name: CInt, value: [UInt8]) -> Int {
        on(descriptor, "setsockopt") { $0.setOption(level: level, name: name, value: value) }
    }

    func receive(_ descriptor: CInt, message: UnsafeMutablePointer<msghdr>) -> Int {
        on(descriptor, "recvmsg") { unsafe $0.receive(message: message) }
    }

    func send(_ descriptor: CInt, message: UnsafeMutablePointer<msghdr>) -> Int {
        on(descriptor, "sendmsg") { unsafe $0.send(message: message) }
    }

    func read(_ descriptor: CInt, into memory: UnsafeMutableRawBufferPointer) -> Int {
        on(descriptor, "read") { unsafe $0.read(into: memory) }
    }

    func write(_ descriptor: CInt, _ bytes: UnsafeRawBufferPointer) -> Int {
        on(descriptor, "write") { unsafe $0.write(bytes) }
    }

    func close(_ descriptor: CInt) -> Int {
        if hasCrashed { return 0 }
        let index = Int(descriptor) - Self.firstNumber
        // The number is free whatever the call reports.
        let ordered = orderedError("close")
        let result = on(descriptor, "close", canFail: false) { description in
            descriptions[index] = nil
            lowestFree = min(lowestFree, index)
            open -= 1
            description.references -= 1
            description.watches.removeAll { $0.descriptor == descriptor }
            description.forgetForeign { $0.descriptor == descriptor }
            if description.references == 0 { description.hasClosed() }
            return 0
        }
        return result < 0 ? result : ordered ?? result
    }

    func copy(_ descriptor: CInt, notBelow limit: CInt) -> Int {
        on(descriptor, "copy") { install($0, notBelow: limit) }
    }

    func waitingBytes(_ descriptor: CInt) -> Int { self[descriptor]?.waitingBytes ?? 0 }

    // MARK: Files of Unix sockets

    func openItself(_ path: [UInt8]) -> Int {
        countDown() ? Errno.ioError.negated : network.openPlace(self, path)
    }

    func identity(of path: [UInt8]) -> FileIdentity? { network.identity(of: path) }
    func identity(of descriptor: CInt) -> FileIdentity? { network.identity(of: self[descriptor]) }
    func setPermissions(_ descriptor: CInt, _ permissions: UInt32) -> Int {
        on(descriptor, "chmod") { network.setPermissions(of: $0, permissions) }
    }
    func unlink(_ path: [UInt8]) -> Int { network.unlink(path) }

    // MARK: Names

    func addresses(of host: String) -> [SocketAddress]? { world.addresses(of: host) }
    func name(of address: SocketAddress) -> String? { world.name(of: address) }
    func timeToLookUp() -> Duration { world.timeToLookUp() }

    // MARK: Children

    func spawn(_ plan: inout casyncio_spawn) -> Int {
        guard !countDown() else { return Errno.ioError.negated }
        let result = unsafe children.spawn(self, &plan)
        world.record(host, "spawn", 0, result)
        return result
    }
    func openProcess(_ process: CInt) -> Int {
        hasCrashed ? Errno.ioError.negated : children.open(self, process)
    }
    func signal(_ process: CInt, _ signal: CInt, wholeGroup: Bool) -> Int {
        on(process, "signal") { children.signal($0, signal, wholeGroup: wholeGroup) }
    }
    func takeEnd(of process: CInt, _ end: inout casyncio_process_end, keepsIt: Bool) -> Int {
        guard let description = self[process] else { return Errno.badFileDescriptor.negated }
        return children.takeEnd(of: description, &end, keepsIt: keepsIt)
    }

    var processors: Int { 2 }
}
