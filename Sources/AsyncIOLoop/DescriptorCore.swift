import AsyncIOKernel
import CAsyncIO
import Glibc
import Synchronization
import SystemPackage

/// What a driver learns from the kernel for a ``DescriptorCore``: that a call on a descriptor may succeed now.
///
/// The core is told with ``DescriptorCore/notice(_:_:into:)``, with the bits of poll(2).
package protocol ReadinessSource: AnyObject {
    /// Reports both directions of an adopted descriptor, edge by edge, beginning with what is ready already. Called
    /// once, when a call has found that it would block. 0, or a negated error number.
    func watch(_ handle: Handle) -> Int
    /// The same before a receive of a connection waits. A driver that receives by itself tells what it has received
    /// instead: ``DescriptorCore/feed(_:_:into:)``.
    func watchForBytes(_ handle: Handle) -> Int
    /// Reports the named directions of somebody else's descriptor, once, instead of those that were asked for before.
    /// `EPERM` for one that is ready, and will not be reported.
    func watch(foreign handle: Handle, _ interest: UInt32, isWatched: Bool) -> Int
    /// Forgets a descriptor that is about to be closed or given away: when this returns, nothing of the driver's holds
    /// it.
    func forget(_ handle: Handle)
    /// The same of a descriptor that is about to be closed, and of which nobody has a copy. A driver whose entry ends
    /// with the last copy may leave that to close(2); one whose entries keep the file open may not.
    func forgetOnlyCopy(_ handle: Handle)
    /// Forgets a descriptor that somebody has closed behind our back.
    func abandon(_ handle: Handle)
    /// Receives nothing more by itself; what it has received is told before this returns.
    func stopFeeding(_ handle: Handle)
    /// Starts a file's operation, if the kernel can carry it out without blocking.
    func submit(_ call: FileCall, token: Token) -> Submission
}

extension ReadinessSource {
    package func watchForBytes(_ handle: Handle) -> Int { watch(handle) }
    package func forgetOnlyCopy(_ handle: Handle) { forget(handle) }
    package func stopFeeding(_ handle: Handle) {}
    package func submit(_ call: FileCall, token: Token) -> Submission { .completed(.needsThread) }
}

/// The calls on descriptors that drivers over a kernel's readiness share: tried at once, kept while they would block,
/// tried again when the driver has noticed that they may succeed.
///
/// It belongs to its driver, and to the loop's thread.
@safe
package final class DescriptorCore {
    // Touched by the loop's thread alone, as the fields of LoopCore, and unchecked for the same reason.

    /// Who notices. It owns this object.
    @exclusivity(unchecked) package unowned(unsafe) var source: (any ReadinessSource)?
    /// What is known of a descriptor, indexed by its number.
    @safe @exclusivity(unchecked) var sockets = StableTable(filledWith: SocketState())
    /// What is under way, indexed by the token's index.
    @safe @exclusivity(unchecked) var pending = StableTable(filledWith: PendingOperation())
    /// Ended without the kernel's help: cancelled or closed. Reported by the next wait.
    @safe @exclusivity(unchecked) var ended: [Completion] = []
    /// Writes that could go on, but let the others go first. Tried again by the next wait, which does not sleep then.
    @safe @exclusivity(unchecked) var takingTurns: [Token] = []
    /// How many bytes a write passes to the kernel before it is somebody else's turn: a fraction of a millisecond.
    @safe @exclusivity(unchecked) var bytesPerTurn = 1 << 20
    /// Bytes that the driver has received for descriptors whose readers have not come yet.
    @safe @exclusivity(unchecked) var stored: [CInt: StoredBytes] = [:]
    /// The bytes that ``feed(_:_:into:)`` is just telling of, as far as nobody has taken them.
    @safe @exclusivity(unchecked) var arriving = unsafe UnsafeRawBufferPointer(start: nil, count: 0)
    /// Whose bytes those are.
    @safe @exclusivity(unchecked) var arrivingFor: CInt = -1
    /// Whether the driver receives by itself what comes over TCP.
    @safe @exclusivity(unchecked) var feedsStreams = false
    /// Where received bytes land before they are copied to memory of their exact size.
    let scratch: UnsafeMutableRawBufferPointer

    /// Memory for bytes that are lent, as far as nobody has it: pieces of the size of `scratch`, each of which begins
    /// with the address of the next.
    @safe @exclusivity(unchecked) var lendable = unsafe UnsafeMutableRawPointer?.none
    /// How many pieces are lent, counting those that have been freed elsewhere since somebody last looked.
    @safe @exclusivity(unchecked) var lentCount = 0
    /// Pieces that have been freed on other threads.
    let freedElsewhere = Atomic(0)

    static let scratchSize = 65_536
    /// How many pieces may be lent at a time. Others get arrays of the size of what has come.
    static let mostLent = 64

    package init() {
        unsafe scratch = .allocate(byteCount: Self.scratchSize, alignment: 4096)
    }

    deinit {
        unsafe scratch.deallocate()
        while let memory = lendable {
            unsafe lendable = memory.load(as: UnsafeMutableRawPointer?.self)
            unsafe memory.deallocate()
        }
    }

    /// What ends or goes on without the kernel's help. True if there was something, so that the driver shall not sleep.
    package func advance(into completions: inout CompletionList) -> Bool {
        guard !ended.isEmpty || !takingTurns.isEmpty else { return false }
        completions.append(contentsOf: ended)
        ended.removeAll(keepingCapacity: true)
        return true
    }

    /// Whether ``advance(into:)`` would find something.
    package var hasSomething: Bool { !ended.isEmpty || !takingTurns.isEmpty }

    /// Closes every adopted descriptor.
    package func close() {
        for number in 0..<sockets.count where sockets[number].isAdopted {
            sockets[number].isAdopted = false
            _ = SystemCall.close(CInt(number))
        }
    }

    // MARK: Asking the driver

    /// Has an adopted descriptor watched, for an operation that would block.
    func watch(_ operation: PendingOperation, _ handle: Handle) -> Int {
        let number = Int(handle.descriptor)
        if operation.awaitsBytes && sockets[number].canBeFed {
            return sockets[number].feedIsOpen
                ? 0 : unsafe source?.watchForBytes(handle) ?? Errno.badFileDescriptor.negated
        }
        if operation.isReader && sockets[number].feedIsOpen { return 0 }
        return watch(handle)
    }

    func watch(_ handle: Handle) -> Int {
        let number = Int(handle.descriptor)
        guard !sockets[number].isWatched else { return 0 }
        let code = unsafe source?.watch(handle) ?? Errno.badFileDescriptor.negated
        if code >= 0 { sockets[number].isWatched = true }
        return code
    }

    /// The driver has stopped watching a descriptor without being asked to. Whoever waits needs it again.
    func watchAgain(_ handle: Handle) {
        guard isCurrent(handle) else { return }
        let state = sockets[Int(handle.descriptor)]
        let isNeeded = state.writer != nil || state.reader != nil && !state.feedIsOpen
        if isNeeded || !state.mayWrite { _ = watch(handle) }
    }

    /// A descriptor cannot be watched: whoever waits is told why.
    func watchHasFailed(_ handle: Handle, _ result: Int) {
        let index = Int(handle.descriptor)
        guard index < sockets.count, sockets[index].generation == handle.generation else { return }
        endWaiting(index, result)
        // Nobody reports when a call may succeed: the next one has to try.
        sockets[index].mayRead = true
        sockets[index].mayWrite = true
        if !sockets[index].isAdopted { endOwnership(of: handle.descriptor) }
    }
}

/// The event bits of poll(2) and epoll(7), as numbers.
package enum Interest {
    package static let input = UInt32(EPOLLIN.rawValue)
    package static let output = UInt32(EPOLLOUT.rawValue)
    package static let peerFinished = UInt32(EPOLLRDHUP.rawValue)
    package static let hangUp = UInt32(EPOLLHUP.rawValue)
    package static let error = UInt32(EPOLLERR.rawValue)
    package static let urgent = UInt32(EPOLLPRI.rawValue)
    package static let once = UInt32(truncatingIfNeeded: EPOLLONESHOT.rawValue)
    package static let edge = UInt32(bitPattern: Int32(truncatingIfNeeded: EPOLLET.rawValue))

    package static let readable = input | urgent | peerFinished | hangUp | error
    package static let writable = output | hangUp | error
    /// After one of these a short read does not mean that nothing is left.
    package static let finished = urgent | peerFinished | hangUp | error
    /// What an adopted descriptor is watched for.
    package static let adopted = input | output | urgent | peerFinished | edge
}
