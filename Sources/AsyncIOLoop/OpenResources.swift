import Synchronization

/// Who is told of what the program opens and closes: debug mode. From whatever thread.
package protocol ResourceObserver: AnyObject, Sendable {
    /// The caller, or what awaits it, has opened something.
    func opened(_ key: ResourceKey)
    /// It was closed by its owner.
    func closed(_ key: ResourceKey)
    /// Its owner has let go of it. What has not been closed before is closed right after this.
    func letGo(_ key: ResourceKey, _ what: String, on loop: EventLoop)
}

/// Names something open for as long as it is.
package struct ResourceKey: Hashable, Sendable {
    private let bits: UInt64

    /// One that a loop has adopted.
    package init(_ handle: Handle) {
        bits = UInt64(handle.generation) << 32 | UInt64(UInt32(bitPattern: handle.descriptor))
    }

    /// A file's, which no loop adopts.
    package init(unadopted number: CInt) { bits = 1 << 63 | UInt64(UInt32(bitPattern: number)) }

    /// A child process.
    package init(process: CInt) { bits = 1 << 63 | 1 << 62 | UInt64(UInt32(bitPattern: process)) }
}

/// Where those who own descriptors say so. As long as nobody wants to know, each word costs one look at a flag.
package enum OpenResources {
    private static let isObserved = Atomic(false)
    private static let observers = Locked<(any ResourceObserver)?>(nil)

    /// Who is told. Nobody, as long as it is nil.
    package static var observer: (any ResourceObserver)? {
        get { isObserved.load(ordering: .relaxed) ? observers.withLock { $0 } : nil }
        set {
            observers.withLock { $0 = newValue }
            isObserved.store(newValue != nil, ordering: .relaxed)
        }
    }

    @inline(__always)
    package static func opened(_ key: @autoclosure () -> ResourceKey) {
        if isObserved.load(ordering: .relaxed) { observer?.opened(key()) }
    }

    @inline(__always)
    package static func closed(_ key: @autoclosure () -> ResourceKey) {
        if isObserved.load(ordering: .relaxed) { observer?.closed(key()) }
    }

    @inline(__always)
    package static func letGo(
        _ key: @autoclosure () -> ResourceKey, _ what: @autoclosure () -> String, on loop: EventLoop
    ) {
        if isObserved.load(ordering: .relaxed) { observer?.letGo(key(), what(), on: loop) }
    }
}
