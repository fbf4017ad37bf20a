import AsyncIOKernel
import AsyncIOLoop
import CAsyncIO
import Glibc
import SystemPackage

/// What a descriptor of a simulated host refers to: a socket, a pipe's end, a file, a child.
///
/// Calls answer as the kernel's do, a value or a negated error number, and never wait: what would have to wait answers
/// `EAGAIN`, and ``raise(_:)`` says when the next try may succeed. The base class refuses everything, as the kernel
/// does for a descriptor of the wrong kind.
class OpenDescription {
    /// Whose it is. Nil once that host has crashed: then nothing that happens reaches anybody.
    final var kernel: HostKernel? {
        get { unsafe owner }
        set { unsafe owner = newValue }
    }
    // Kernels live as long as their world, and nothing happens in a world that is gone. A weak reference would make
    // every retain of a kernel a slow one.
    private final unowned(unsafe) var owner: HostKernel?
    /// How many numbers refer to it.
    final var references = 0
    /// Who is told of readiness: the handles under which the driver watches it.
    @safe @exclusivity(unchecked) final var watches: [Handle] = []
    /// Foreign waits: one event for the bits. Several numbers may refer to the same thing, and each have its own.
    @safe @exclusivity(unchecked) final var foreignWatches: [(handle: Handle, interest: UInt32)] = []

    init(_ kernel: HostKernel) { unsafe owner = kernel }

    /// What may succeed now, in the bits of poll(2): ``Interest``.
    var readiness: UInt32 { 0 }
    /// What an event that nothing has caused may say: also what was true a moment ago, but never that a connection is
    /// there which is not.
    var noise: UInt32 { Interest.input | Interest.output }
    /// What it is, for people: `TCP 10.0.0.1:80 → 10.0.0.2:49152`.
    var label: String { "a descriptor" }
    /// The last number is gone.
    func hasClosed() {}

    func read(into memory: UnsafeMutableRawBufferPointer) -> Int { Errno.invalidArgument.negated }
    func write(_ bytes: UnsafeRawBufferPointer) -> Int { Errno.invalidArgument.negated }

    /// Sockets' own.
    func bind(_ address: SocketAddress) -> Int { Errno.notSocket.negated }
    func listen(backlog: Int) -> Int { Errno.notSocket.negated }
    func accept() -> (Int, [UInt8]) { (Errno.notSocket.negated, []) }
    func connect(_ address: SocketAddress) -> Int { Errno.notSocket.negated }
    var localAddress: (Int, [UInt8]) { (Errno.notSocket.negated, []) }
    var peerAddress: (Int, [UInt8]) { (Errno.notSocket.negated, []) }
    func takePendingError() -> Int { 0 }
    func finishSending() -> Int { Errno.notSocket.negated }
    func option(level: CInt, name: CInt, size: Int) -> (Int, [UInt8]) { (Errno.notSocket.negated, []) }
    func setOption(level: CInt, name: CInt, value: [UInt8]) -> Int { Errno.notSocket.negated }
    func receive(message: UnsafeMutablePointer<msghdr>) -> Int { Errno.notSocket.negated }
    func send(message: UnsafeMutablePointer<msghdr>) -> Int { Errno.notSocket.negated }
    /// How many bytes wait to be read.
    var waitingBytes: Int { 0 }

    /// Tells the driver that a call may succeed which would not have before: an edge, as epoll(7) reports it.
    final func raise(_ bits: UInt32) {
        guard let kernel else { return }
        for handle in watches { kernel.driver?.raise(handle, bits) }
        guard !foreignWatches.isEmpty else { return }
        // Hang-ups and errors are told whether asked for or not.
        let told = foreignWatches.filter { bits & ($0.interest | Interest.hangUp | Interest.error) != 0 }
        for watch in told {
            forgetForeign { $0 == watch.handle }
            kernel.driver?.raise(watch.handle, bits)
        }
    }

    final func forgetForeign(_ isMeant: (Handle) -> Bool) { foreignWatches.removeAll { isMeant($0.handle) } }

    /// The number of bytes that a call may move, when short reads and writes are drawn from the seed.
    final func drawn(_ count: Int, _ bits: UInt32) -> Int {
        guard count > 1, let kernel, kernel.world.faults.shortTransfers > 0 else { return count }
        let world = kernel.world
        guard world.strikes("short transfer", world.faults.shortTransfers) else { return count }
        var details = world.perturbations.details
        // The driver takes a short transfer for the last one, so it has to hear that more can be done.
        raiseSoon(bits, &details)
        return 1 + details.below(count - 1)
    }

    /// Whether a call that could succeed says `EAGAIN` all the same, as drawn from the seed.
    final func isDrawnToFail(_ bits: UInt32) -> Bool {
        guard let kernel, kernel.world.faults.tryAgain > 0 else { return false }
        let world = kernel.world
        guard world.strikes("EAGAIN", world.faults.tryAgain) else { return false }
        var details = world.perturbations.details
        raiseSoon(bits, &details)
        return true
    }

    private func raiseSoon(_ bits: UInt32, _ details: inout SimulatedRandom) {
        guard let world = kernel?.world else { return }
        let delay = Duration.microseconds(1 + details.below(50))
        world.at(world.now.advanced(by: delay)) { self.raise(bits) }
    }
}
