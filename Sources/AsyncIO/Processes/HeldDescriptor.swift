import AsyncIOKernel
import Synchronization

/// A descriptor that several hold until one of them closes it: what a child is to have, on its way there.
final class HeldDescriptor: Sendable {
    /// Or -1 if it is closed.
    private let place: Atomic<CInt>

    init(_ descriptor: consuming Descriptor) { place = Atomic(descriptor.release()) }

    deinit { close() }

    /// Valid until ``close()``.
    var number: CInt { place.load(ordering: .acquiring) }

    /// Takes it back; nobody else has it any more.
    func take() -> Descriptor { Descriptor(owning: place.exchange(-1, ordering: .acquiringAndReleasing)) }

    /// Closes it now, whoever else still holds it.
    func close() {
        let number = place.exchange(-1, ordering: .acquiringAndReleasing)
        if number >= 0 { Descriptor(owning: number).close() }
    }
}
