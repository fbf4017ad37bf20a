import AsyncIOKernel
import CAsyncIO
import Glibc
import SystemPackage

/// The two queues of an io_uring(7): submission entries go to the kernel, completion entries come back.
///
/// It knows the queues' memory, its barriers and the system calls, and nothing of operations. The kernel keeps
/// completions that find no room and adds them later; entries that it refuses complete with an error of their own. It
/// loses one only when it has no memory left to keep it, and says so then when it is entered (EBADR).
@safe
final class Ring {
    private let ring: CInt
    private let queues: UnsafeMutableRawPointer
    private let queuesSize: Int
    private let entries: UnsafeMutablePointer<casyncio_submission>
    private let entriesSize: Int

    // Words that the kernel reads or writes, in the queues' memory, which lives as long as this object.
    private let submissionHead: UnsafeMutablePointer<UInt32>
    private let submissionTail: UnsafeMutablePointer<UInt32>
    private let submissionFlags: UnsafeMutablePointer<UInt32>
    private let completionHead: UnsafeMutablePointer<UInt32>
    private let completionTail: UnsafeMutablePointer<UInt32>
    private let completions: UnsafeMutablePointer<casyncio_completion>
    private let submissionMask: UInt32
    private let completionMask: UInt32
    private let capacity: UInt32

    /// The end of what we have written; the kernel sees it in ``enter(awaiting:nanoseconds:)``.
    @safe @exclusivity(unchecked) private var tail: UInt32 = 0
    /// How many entries the kernel has not been given yet.
    @safe @exclusivity(unchecked) private var unsubmitted: UInt32 = 0
    @safe @exclusivity(unchecked) private var isClosed = false
    /// How the ring was set up, of the ways that were tried.
    let setup: Setup

    /// Ways to set a ring up: what newer kernels save.
    enum Setup: String, CaseIterable {
        /// One thread submits, and the kernel does its share of the work when that thread asks (Linux 6.1).
        case deferred = "deferred task work"
        /// The kernel does its share when the thread enters it anyway (Linux 5.19).
        case cooperative = "cooperative task work"
        /// The kernel interrupts the thread.
        case plain = "plain"

        var flags: Int {
            switch self {
            case .deferred:
                CASYNCIO_SETUP_SINGLE_ISSUER | CASYNCIO_SETUP_DEFERRED | CASYNCIO_SETUP_TASK_WORK_FLAG
            case .cooperative: CASYNCIO_SETUP_COOPERATIVE | CASYNCIO_SETUP_TASK_WORK_FLAG
            case .plain: 0
            }
        }
    }

    /// Sets a ring up in the best way that the kernel knows. It works from ``enable()`` on.
    ///
    /// Throws ``IOError``: EPERM where io_uring is forbidden (seccomp(2), `kernel.io_uring_disabled`), ENOSYS where it
    /// does not exist, ENOMEM where too little memory may be locked, EOPNOTSUPP where it lacks what we need.
    init(submissions: UInt32, completions: UInt32, setups: [Setup] = Setup.allCases) throws(IOError) {
        var parameters = casyncio_ring_parameters()
        var (number, used) = (Errno.noFunction.negated, Setup.plain)
        for setup in setups {
            parameters = casyncio_ring_parameters()
            let common =
                CASYNCIO_SETUP_COMPLETION_COUNT | CASYNCIO_SETUP_CLAMP | CASYNCIO_SETUP_DISABLED
                | CASYNCIO_SETUP_SUBMIT_ALL
            parameters.flags = UInt32(common | setup.flags)
            parameters.completions = completions
            number = SystemCall.result { unsafe casyncio_ring_setup(submissions, &parameters) }
            used = setup
            // Only a flag that the kernel does not know is a reason to try without it.
            if number != Errno.invalidArgument.negated { break }
        }
        guard number >= 0 else {
            throw IOError(Errno(negated: number), operation: "io_uring_setup", subject: "the ring")
        }
        let owned = Descriptor(owning: CInt(truncatingIfNeeded: number))
        let needed =
            CASYNCIO_FEATURE_SINGLE_MAP | CASYNCIO_FEATURE_NO_DROP | CASYNCIO_FEATURE_EXTENDED_WAIT
            | CASYNCIO_FEATURE_SKIP
        let knows = SystemCall.result { casyncio_ring_knows_operations(owned.number) }
        guard parameters.features & UInt32(needed) == UInt32(needed), knows == 1 else {
            let code = knows < 0 ? Errno(negated: knows) : .notSupported
            throw IOError(code, operation: "io_uring_register", subject: "the kernel's list of operations")
        }
        let offsets = (parameters.submission_offsets, parameters.completion_offsets)
        queuesSize = max(
            Int(offsets.0.array) + Int(parameters.submissions) * MemoryLayout<UInt32>.stride,
            Int(offsets.1.completions) + Int(parameters.completions) * MemoryLayout<casyncio_completion>.stride)
        entriesSize = Int(parameters.submissions) * MemoryLayout<casyncio_submission>.stride
        unsafe queues = try Self.map(owned.number, queuesSize, entries: false)
        do {
            unsafe entries = try Self.map(owned.number, entriesSize, entries: true)
                .assumingMemoryBound(to: casyncio_submission.self)
        } catch {
            unsafe munmap(queues, queuesSize)
            throw error
        }
        let base = unsafe queues
        func word(_ offset: UInt32) -> UnsafeMutablePointer<UInt32> {
            unsafe (base + Int(offset)).assumingMemoryBound(to: UInt32.self)
        }
        unsafe submissionHead = word(offsets.0.head)
        unsafe submissionTail = word(offsets.0.tail)
        unsafe submissionFlags = word(offsets.0.flags)
        unsafe completionHead = word(offsets.1.head)
        unsafe completionTail = word(offsets.1.tail)
        unsafe self.completions = (base + Int(offsets.1.completions)).assumingMemoryBound(to: casyncio_completion.self)
        submissionMask = unsafe word(offsets.0.mask).pointee
        completionMask = unsafe word(offsets.1.mask).pointee
        capacity = parameters.submissions
        setup = used
        // The kernel looks entries up through a list of numbers: ours stand in order, for ever.
        let list = unsafe word(offsets.0.array)
        for index in 0..<capacity { unsafe list[Int(index)] = index }
        ring = owned.release()
    }

    deinit { close() }

    func close() {
        guard !isClosed else { return }
        isClosed = true
        unsafe munmap(entries, entriesSize)
        unsafe munmap(queues, queuesSize)
        _ = SystemCall.close(ring)
    }

    private static func map(_ ring: CInt, _ size: Int, entries: Bool) throws(IOError) -> UnsafeMutableRawPointer {
        var memory: UnsafeMutableRawPointer?
        try SystemCall.call("mmap", "the ring's queues") {
            unsafe memory = casyncio_ring_map(ring, size, entries)
            return unsafe memory == nil ? -1 : 0
        }
        if let memory = unsafe memory { return unsafe memory }
        throw IOError(.noMemory, operation: "mmap", subject: "the ring's queues")
    }

    /// Lets the ring work: for the calling thread alone, if it was set up so.
    func enable() throws(IOError) {
        try SystemCall.call("io_uring_register", "the ring") { casyncio_ring_enable(ring) }
    }

    /// Lets the kernel receive into buffers of ours: group 0. 0, or a negated error number.
    func provide(
        _ buffers: UnsafeMutablePointer<casyncio_provided_buffer>, _ count: Int, inPortions: Bool
    ) -> Int {
        SystemCall.result { unsafe casyncio_ring_provide(ring, buffers, UInt32(clamping: count), inPortions) }
    }

    // MARK: Submitting

    /// Writes the next submission entry. Submits what is there first if the queue is full.
    @inline(__always)
    func submit(_ entry: casyncio_submission) {
        if unsafe tail &- casyncio_load_acquire(submissionHead) >= capacity { flush() }
        unsafe entries[Int(tail & submissionMask)] = entry
        tail &+= 1
        unsubmitted &+= 1
    }

    /// Gives the kernel all entries, and lets it do its share of what has completed, without waiting.
    func flush() {
        while true {
            let result = enter(awaiting: 0, nanoseconds: -1)
            if unsubmitted == 0 { return }
            // Too little memory for a moment: entering again makes progress.
            precondition(
                result >= 0 || Errno(negated: result).isTemporary, "io_uring_enter: \(Errno(negated: result))")
        }
    }

    /// Whether the kernel has to be entered for anything: entries to submit, work of its own, completions in overflow.
    @inline(__always)
    var needsEntering: Bool {
        let waiting = UInt32(CASYNCIO_QUEUE_HAS_OVERFLOW | CASYNCIO_QUEUE_HAS_TASK_WORK)
        return unsafe unsubmitted > 0 || setup == .plain || casyncio_load_relaxed(submissionFlags) & waiting != 0
    }

    /// Whether the kernel keeps completions that found no room.
    var hasOverflow: Bool {
        unsafe casyncio_load_relaxed(submissionFlags) & UInt32(CASYNCIO_QUEUE_HAS_OVERFLOW) != 0
    }

    /// io_uring_enter(2): submits, works, waits. How many entries were taken, or a negated error number, which is EINTR
    /// after a signal and ETIME at the end of the time.
    func enter(awaiting count: UInt32, nanoseconds: Int64) -> Int {
        unsafe casyncio_store_release(submissionTail, tail)
        let result = SystemCall.resultOnce { casyncio_ring_enter(ring, unsubmitted, count, nanoseconds) }
        unsubmitted = unsafe tail &- casyncio_load_acquire(submissionHead)
        return result
    }

    // MARK: Harvesting

    /// Takes the next completion, if there is one.
    @inline(__always)
    func next() -> casyncio_completion? {
        let head = unsafe completionHead.pointee
        guard unsafe head != casyncio_load_acquire(completionTail) else { return nil }
        let completion = unsafe completions[Int(head & completionMask)]
        unsafe casyncio_store_release(completionHead, head &+ 1)
        return completion
    }
}

extension Errno {
    /// What io_uring_enter(2) reports of a moment that passes.
    var isTemporary: Bool {
        self == .interrupted || self == .resourceBusy || self == .wouldBlock || self == .noMemory || self == .timeout
    }
}
