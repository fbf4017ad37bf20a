import AsyncIOKernel
import AsyncIOLoop
import SystemPackage

/// No disk at all: every call is refused by name.
final class EmptyDisk: HostDisk {
    private unowned let world: World

    init(_ world: World) { self.world = world }

    func time(for call: FileCall) -> Duration { .zero }
    func perform(_ call: FileCall, _ kernel: HostKernel) -> Outcome { Outcome(kernel.refuse("file")) }
    func crash() {}
}
