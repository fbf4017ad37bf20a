import AsyncIOKernel
import AsyncIOLoop

/// A host's disk, as its kernel sees it.
protocol HostDisk: AnyObject {
    /// How long a call takes.
    func time(for call: FileCall) -> Duration
    /// Carries a call out. Descriptors that it opens are the kernel's: ``HostKernel/install(_:notBelow:)``.
    func perform(_ call: FileCall, _ kernel: HostKernel) -> Outcome
    /// The power is gone: what was not synced may be lost, or torn.
    func crash()
}
