import Synchronization

/// Something that has happened, or not, seen from any thread.
final class OnceFlag: Sendable {
    private let flag = Atomic(false)
    var isSet: Bool { flag.load(ordering: .acquiring) }
    func set() { flag.store(true, ordering: .releasing) }
}
