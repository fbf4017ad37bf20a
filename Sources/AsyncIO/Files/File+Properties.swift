import AsyncIOKernel
import AsyncIOLoop
import Glibc
public import SystemPackage

extension File {
    /// How much of what was written waits for the disk.
    public enum Durability: Hashable, Sendable {
        /// Everything, times and all (fsync(2)).
        case all
        /// The data, and of the rest what is needed to read them again (fdatasync(2)): often cheaper.
        case data
    }

    /// Suspends until what was written to the file, by whomever, is on the disk.
    ///
    /// Throws ``IOError`` with `EIO`, `ENOSPC` or `EDQUOT` if it is not. The kernel tells that once, and then may have
    /// forgotten the data: syncing again and seeing no error means nothing. A new file's *name* is on the disk when its
    /// folder is: ``Folder/sync(at:on:)``.
    public func sync(_ durability: Durability = .all) async throws {
        try await run(.sync(number, durability == .all ? .all : .data))
    }

    /// Makes the file so many bytes long: cuts it, or lets it end in a hole, which reads as zeros.
    ///
    /// Suspends. Throws ``IOError``: `EFBIG`, `EINVAL` for a negative size.
    public func truncate(to size: Int64) async throws {
        try checkOffset(size, "truncate")
        try await run(.truncate(number, to: size))
    }

    /// Gets disk space for a part of the file, so that writing there does not fail for lack of it (fallocate(2)).
    ///
    /// The file becomes as long as the part reaches, or keeps its size. Suspends. Throws ``IOError``: `ENOSPC`,
    /// `EOPNOTSUPP` where the file system cannot do so, `EINVAL` for a negative offset and a count below one.
    public func allocate(_ count: Int64, at offset: Int64 = 0, growing: Growing = .grows) async throws {
        try checkOffset(offset, "allocate")
        try await run(.allocate(number, at: offset, count: count, keepsSize: growing == .keepsSize))
    }

    /// Whether allocating makes a file longer.
    public enum Growing: Hashable, Sendable {
        /// It becomes as long as the part reaches.
        case grows
        /// Its size stays.
        case keepsSize
    }

    /// What the file system knows about the file: also after it was renamed or removed. Suspends.
    public func information() async throws -> FileInformation {
        try enter("stat")
        defer { leave() }
        let itself = try PathBytes([], for: "stat")
        return try await FileLane.status(itself, in: number, followsLinks: true, on: loop, "\(path)")
    }

    /// Sets who may do what with the file. Suspends. Throws ``IOError`` with `EPERM` if it is not ours.
    public func setPermissions(_ permissions: FilePermissions) async throws {
        try await run(.setPermissions(number, UInt32(permissions.rawValue)))
    }
}

// MARK: - Locks

extension File {
    /// What an advisory lock keeps out.
    public enum LockKind: Hashable, Sendable {
        /// Exclusive locks: several readers hold it at once.
        case shared
        /// All other locks.
        case exclusive
    }

    /// Takes an advisory lock on the whole file, or says that another one is in the way. Does not wait.
    ///
    /// The lock belongs to this open file ("open file description locks" of fcntl(2)), not to the process: two `File`s
    /// of one process keep each other out, too. It is given back by ``unlock()``, and when the file is closed. Taking
    /// it again changes its kind. Programs that use fcntl(2) locks see it; those that use flock(2) do not. Throws
    /// ``IOError`` with `EBADF` for a shared lock on a file that is not open for reading, or an exclusive one on a file
    /// that is not open for writing.
    public func tryLock(_ kind: LockKind) async throws -> Bool {
        try enter("lock")
        defer { leave() }
        let outcome = await FileLane.perform(.lock(number, kind == .shared ? .shared : .exclusive), on: loop)
        if outcome.result == Errno.wouldBlock.negated || outcome.result == Errno.permissionDenied.negated {
            return false
        }
        if outcome.result == Errno.badFileDescriptor.negated {
            throw IOError(
                .badFileDescriptor, operation: "lock", subject: "\(path)",
                detail: "a shared lock needs a file that is open for reading, an exclusive one for writing")
        }
        try check(outcome, "lock")
        return true
    }

    /// Takes an advisory lock on the whole file, and waits while another one is in the way. As ``tryLock(_:)``.
    ///
    /// The system tells nobody when a lock becomes free without blocking a thread: this looks again and again, at
    /// first after 1 ms and then for at most 100 ms each. There is no queue, so nobody is promised to be next. Can be
    /// cancelled.
    public func lock(_ kind: LockKind) async throws {
        var pause = Duration.milliseconds(1)
        while try await !tryLock(kind) {
            try await loop.sleep(for: pause)
            pause = min(pause * 2, .milliseconds(100))
        }
    }

    /// Gives an advisory lock back. Without one, does nothing. Also if the task is cancelled.
    public func unlock() async throws {
        try enter("unlock")
        defer { leave() }
        try check(await FileLane.performAnyway(.lock(number, .free), on: loop), "unlock")
    }

    /// Runs a body while holding an advisory lock. See ``lock(_:)``.
    public func withLock<Result>(
        _ kind: LockKind, _ body: nonisolated(nonsending) () async throws -> Result
    ) async throws -> Result {
        try await lock(kind)
        let result: Result
        do {
            result = try await body()
        } catch {
            // What the body says is what matters.
            try? await unlock()
            throw error
        }
        try await unlock()
        return result
    }
}
