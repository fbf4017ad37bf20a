/// How unkind a simulated disk is. Probabilities are from 0 to 1, for each call, and drawn from the seed.
public struct DiskFaults: Sendable {
    /// That a read fails with `EIO`.
    public var readErrors = 0.0
    /// That a write, or getting space, fails with `EIO`.
    public var writeErrors = 0.0
    /// That a sync fails with `EIO`. What it was to write is lost then, and a second sync does not tell: so does Linux.
    public var syncErrors = 0.0
    /// That closing a file that was open for writing fails with `EIO`. It is closed all the same.
    public var closeErrors = 0.0
    /// That opening, making, renaming or removing a name fails with `EIO`, and does nothing.
    public var nameErrors = 0.0
    /// That a read or write of a file moves a part of what it could.
    public var shortTransfers = 0.0
    /// That a call is slow, and how much longer it takes then.
    public var slowCalls = 0.0
    /// That a call that is cancelled has begun already: then it is carried out, and its caller told so.
    public var begunCalls = 0.0
    /// The longest that a slow call takes.
    public var longestCall = Duration.milliseconds(500)
    /// What a crash takes of that which was not synced.
    public var loss = CrashLoss.everything

    /// Creates a kind disk. Without syncs, nothing survives a crash: that is no unkindness, but what programs have to
    /// be ready for.
    public init() {}

    /// Everything that a real disk does on a bad day, often enough to matter in a short run.
    public static var stormy: DiskFaults {
        var faults = DiskFaults()
        faults.shortTransfers = 0.2
        faults.slowCalls = 0.05
        faults.begunCalls = 0.5
        faults.loss = .anything
        return faults
    }

    /// What a crash takes of that which was not synced.
    public enum CrashLoss: Sendable {
        /// Nothing: as if only the program had been killed.
        case nothing
        /// Everything that was not synced, and nothing else.
        case everything
        /// What the seed says: each page is the new one, the old one or torn between two sectors; the size is the new
        /// one, the old one or one between; each change of a name has happened or not, renaming as a whole.
        case anything
    }
}

/// How a simulated disk orders changes of names, as far as they are not synced.
public enum NameOrder: Sendable {
    /// Not at all: a change is on the disk when its folder was synced, and no sooner. What POSIX promises.
    case none
    /// One after the other, as in a file system with a journal (ext4): every sync of whatever file or folder writes all
    /// of them, and a crash takes the last ones.
    case journal
}

/// How long a simulated disk takes for a call.
public struct DiskTimes: Sendable {
    /// A call, whatever it does.
    public var call: ClosedRange<Duration> = .microseconds(5) ... .microseconds(30)
    /// A sync, besides.
    public var sync: ClosedRange<Duration> = .microseconds(200) ... .milliseconds(2)
    /// How many bytes are read or written in a second; 0: as many as there are.
    public var bytesPerSecond: Int64 = 1_000_000_000

    /// Creates the times of a solid-state disk.
    public init() {}
}

/// What a disk can be told to fail at.
public enum DiskWork: Sendable {
    /// Reading a file.
    case read
    /// Writing a file, or getting space for it.
    case write
    /// Syncing a file or folder.
    case sync
    /// Closing a file that was open for writing.
    case close
    /// Opening, making, renaming and removing a name.
    case name
}
